"""The figures about HTTP are those of the goals, and the small client reads answers whole."""

from __future__ import annotations

import pytest

from benchmarks.goals import GOALS
from benchmarks.http.loads import _in_turn
from benchmarks.http.suite import NOOP, _figures
from benchmarks.http.wire import _whole, request, text_of


def test_goals_are_ratios_of_rounds() -> None:
    """Single calls three to a lifecycle against the no-op, batches and granian against single calls."""
    rounds = {
        NOOP: [3_000.0],
        "waitress, single": [400.0],
        "waitress, batch": [4_000.0],
        "granian, single": [800.0],
    }
    fleet = {"cores": 0.7, "requests/s": 600.0, "share served in time": 0.5}
    figures = _figures(rounds, {"p50 ms": 3.0, "p99 ms": 9.0}, {"p50 ms": 7.0, "p99 ms": 30.0}, fleet)
    assert {key: figure.value for key, figure in figures.items()} == {
        "P9 single": pytest.approx(0.4),
        "P9 batch": 10.0,
        "P9 granian": 2.0,
        "P10 p50": 3.0,
        "P10 p99": 9.0,
        "P10 two p50": 7.0,
        "P10 two p99": 30.0,
        "P11": 1.4,
    }
    assert figures.keys() <= {goal.key for goal in GOALS}


def test_an_answer_is_whole_when_its_length_or_its_last_chunk_has_come() -> None:
    """Whatever the case of the header; 204 has no body."""
    head = b"HTTP/1.1 200 OK\r\ncontent-Length: 2\r\nX: y\r\n\r\n"
    assert not _whole(head + b"{")
    assert _whole(head + b"{}")
    assert _whole(b"HTTP/1.1 204 No Content\r\n\r\n")
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    assert not _whole(chunked)
    assert _whole(chunked + b"0\r\n\r\n")
    assert text_of(b'{"a":"b","token":"x.1"}', b"token") == b"x.1"
    assert request("POST", "/jobs", {"a": 1}).endswith(b'Content-Length: 8\r\n\r\n{"a": 1}')


def test_heartbeats_and_claims_come_at_their_rates() -> None:
    """Of 1,200 requests a second 200 are claims, spread evenly."""
    turns = _in_turn([f"e{number}" for number in range(10)], 1_200.0, 200.0)
    kinds = [claims for _, _, claims in (next(turns) for _ in range(1_200))]
    assert 199 <= sum(kinds) <= 200
    assert 32 <= sum(kinds[:200]) <= 34
