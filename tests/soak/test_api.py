"""The API at length: many requests made from its description, and never a 5xx or an undocumented status."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.http.openapi.exploring import PHASES, Findings, explore
from tests.http.openapi.test_exploration import KEY, LIFE, server

CASES = int(os.environ.get("DISPATCH_SOAK_CASES", "20000"))
EXAMPLES = 60


@pytest.mark.soak
@pytest.mark.checklist(90)
def test_no_request_gets_an_answer_that_is_not_described() -> None:
    """Every edge of every schema once, then rounds by chance, each with its seed and a fresh store, until it is enough."""
    total, rounds = Findings(), 0
    while total.cases < CASES:
        rounds += 1
        phases = PHASES if rounds == 1 else ("fuzzing", "stateful")
        with server() as app:
            found = explore(app, KEY, examples=EXAMPLES, phases=phases, seed=rounds)
        total.statuses.update(found.statuses)
        total.failures.extend(found.failures)
        _tell(total, rounds)
    assert total.failures == []
    assert total.succeeded() >= LIFE


def _tell(total: Findings, rounds: int) -> None:
    by_status = Counter[int]()
    for (_, status), count in total.statuses.items():
        by_status[status] += count
    counts = ", ".join(f"{count:,} × {status}" for status, count in sorted(by_status.items()))
    done = len(total.succeeded())
    print(f"\n{total.cases:,} cases in {rounds} rounds: {counts}; {done} operations succeeded, "
          f"{len(total.failures)} failures", *total.failures[:20], sep="\n", flush=True)  # fmt: skip
