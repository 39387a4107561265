"""The table from errors to statuses is complete, and what leaves the server betrays nothing."""

import io
from collections.abc import Iterator

import pytest
from falcon.testing import TestClient

import dispatch_core
from dispatch_core import (
    ConflictError,
    Dispatcher,
    DispatchError,
    FieldProblem,
    InvalidCommandError,
    LimitExceededError,
    StorageUnavailableError,
)
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.observing import make_log
from dispatch_http.problems import STATUS, of_core
from tests.http.fleet import problem


def errors(root: type[DispatchError] = DispatchError) -> Iterator[type[DispatchError]]:
    """Every error of the core."""
    yield root
    for child in root.__subclasses__():
        yield from errors(child)


@pytest.mark.parametrize(
    "error", [each for each in errors() if each.__module__.startswith(dispatch_core.__name__)]
)
def test_every_error_of_the_core_has_a_status(error: type[DispatchError]) -> None:
    """An error without a row of its own would be answered as its parent."""
    assert error.code in STATUS


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("invalid-command", 422),
        ("idempotency-key-reused", 422),
        ("unknown-job", 404),
        ("unknown-engine", 404),
        ("wrong-state", 409),
        ("lease-lost", 409),
        ("session-replaced", 409),
        ("version-mismatch", 412),
        ("limit-exceeded", 429),
        ("storage-unavailable", 503),
        ("closed", 503),
    ],
)
def test_published_statuses_stay(code: str, status: int) -> None:
    """Clients branch on these."""
    assert STATUS[code][0] == status


def test_an_error_the_table_does_not_know_counts_as_its_parent() -> None:
    """A new error of an embedder gets its parent's status and keeps its own code."""

    class StrangeError(StorageUnavailableError):
        code = "strange"

    found = of_core(StrangeError("x"))
    assert (found.status, found.code, found.headers) == (503, "strange", {"Retry-After": "2"})


def test_all_field_problems_are_listed() -> None:
    """Each with its pointer."""
    found = of_core(InvalidCommandError([FieldProblem("/a", "x"), FieldProblem("/b/0", "y")]))
    assert [error["pointer"] for error in found.errors] == ["/a", "/b/0"]


@pytest.mark.parametrize(("wait_s", "header"), [(0.2, "1"), (3.2, "4")])
def test_a_limit_says_when_to_come_back(wait_s: float, header: str) -> None:
    """429 with Retry-After in whole seconds, at least one."""
    found = of_core(LimitExceededError("too many", retry_after_s=wait_s))
    assert (found.status, found.headers) == (429, {"Retry-After": header})


def test_a_conflict_may_be_repeated() -> None:
    """Nothing was decided: 503 and come back."""
    assert of_core(ConflictError(["job/1"])).status == 503


def test_a_store_that_is_away_is_503_and_alive_but_not_ready() -> None:
    """503 with Retry-After; liveness stays true, so that nobody restarts what only waits."""
    storage = MemoryStorage()
    with Dispatcher(storage) as dispatcher:
        client = TestClient(
            create_app(dispatcher, log=make_log(io.StringIO())), headers={"Host": "localhost"}
        )
        assert client.simulate_get("/status").status_code == 200
        storage.close()
        for path in ("/jobs", "/status", "/health/ready"):
            answer = client.simulate_get(path)
            problem(answer, 503, "storage-unavailable")
            assert answer.headers["Retry-After"] == "2"
        assert client.simulate_get("/health/live").status_code == 200
        assert client.simulate_get("/metrics").status_code == 200


def test_a_fault_of_ours_is_logged_and_not_shown(
    client: TestClient, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 without a traceback; the log has it under the same request id."""

    def explode(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Dispatcher, "stats", explode)
    answer = client.simulate_get("/status", headers={"X-Request-Id": "r-500"})
    problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    line = next(line for line in log_lines.getvalue().splitlines() if '"failure"' in line)
    assert "secret detail" in line
    assert "r-500" in line
    log_lines.truncate(0)
    log_lines.seek(0)


def test_a_closed_dispatcher_is_503(client: TestClient, dispatcher: Dispatcher) -> None:
    """Commands after the end are refused as such."""
    dispatcher.close()
    answer = client.simulate_put("/engines/engine-1", json={"session": "s"})
    problem(answer, 503, "closed")
    assert "Retry-After" in answer.headers
