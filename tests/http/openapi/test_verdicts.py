"""Bad input, and input that only looks bad: one verdict, in memory, on SQLite and on PostgreSQL, and never a 5xx."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from attrs import field, frozen
from falcon.testing import Result, TestClient

from dispatch_core import Dispatcher, ManualClock, SeededIds
from dispatch_core.storage import create_storage
from dispatch_http.app import create_app
from dispatch_http.observing import make_log
from tests.http.fleet import PARAMETERS, SESSION, Fleet
from tests.support.postgres import Databases

JSON = "application/json"
MAX = 2**63 - 1


@frozen(kw_only=True)
class Case:
    """A request, and the status and code it must be answered with. ``{job}`` and ``{token}`` are filled in."""

    status: int
    code: str = ""
    method: str = "POST"
    path: str = "/jobs"
    body: Any = None
    content_type: str | None = JSON
    headers: dict[str, str] = field(factory=dict)


def job(**fields: object) -> str:
    """The text of a job, with a lone surrogate and the like written as they are."""
    return json.dumps({"parameters": PARAMETERS, **fields})


def held(**fields: object) -> str:
    """The text of a report of an engine."""
    return json.dumps({"token": "{token}", "engine_id": "engine-1", **fields})


def nested(depth: int) -> dict[str, object]:
    """Parameters as deep as this."""
    inner: object = 1
    for _ in range(depth):
        inner = {"a": inner}
    return {**PARAMETERS, "deep": inner}


BAD = {
    # what is no JSON
    "empty object in an array": Case(status=422, code="invalid-command", body="[{}]"),
    "a text": Case(status=422, code="invalid-command", body='"job"'),
    "null": Case(status=422, code="invalid-command", body="null"),
    "half": Case(status=400, code="invalid-json", body='{"priority": 1'),
    "trailing comma": Case(status=400, code="invalid-json", body='{"priority": 1,}'),
    "comment": Case(status=400, code="invalid-json", body='{"priority": 1 /* high */}'),
    "two values": Case(status=400, code="invalid-json", body="{}{}"),
    "byte order mark": Case(status=400, code="invalid-json", body="\ufeff{}"),
    "no UTF-8": Case(status=400, code="invalid-json", body=b'{"note": "\xc3\x28"}'),
    "UTF-16": Case(status=400, code="invalid-json", body='{"note": "a"}'.encode("utf-16")),
    "NaN": Case(status=400, code="invalid-json", body='{"size": {"duration_s": NaN}}'),
    "infinity": Case(status=400, code="invalid-json", body='{"size": {"duration_s": -Infinity}}'),
    "beyond floats": Case(status=400, code="invalid-json", body='{"size": {"duration_s": 1e999}}'),
    "leading zero": Case(status=400, code="invalid-json", body='{"priority": 01}'),
    "plus sign": Case(status=400, code="invalid-json", body='{"priority": +1}'),
    "hexadecimal": Case(status=400, code="invalid-json", body='{"priority": 0x10}'),
    "key twice": Case(status=400, code="invalid-json", body='{"priority": 1, "priority": 2}'),
    "key twice, deep": Case(status=400, code="invalid-json", body='{"parameters": {"x": [{"a": 1, "\\u0061": 2}]}}'),
    "deep arrays": Case(status=400, code="invalid-json", body="[" * 5_000 + "]" * 5_000),
    "never ending": Case(status=400, code="invalid-json", body='{"a":' * 50_000),
    "lone surrogate": Case(status=400, code="invalid-json", body='{"note": "\\udfff"}'),
    "surrogates in the wrong order": Case(status=400, code="invalid-json", body='{"note": "\\udc00\\ud800"}'),
    "lone surrogate in a key": Case(status=400, code="invalid-json", body='{"parameters": {"\\ud800": 1}}'),
    "NUL": Case(status=400, code="invalid-json", body='{"note": "a\\u0000b"}'),
    "raw control character": Case(status=400, code="invalid-json", body='{"note": "a\nb"}'),
    "2^63": Case(status=400, code="invalid-json", body=f'{{"size": {{"size_bytes": {MAX + 1}}}}}'),
    "-2^63 - 1": Case(status=400, code="invalid-json", body=f'{{"parameters": {{"n": {-MAX - 2}}}}}'),
    "ten thousand digits": Case(status=400, code="invalid-json", body='{"priority": ' + "9" * 10_000 + "}"),
    # what is no job
    "unknown field": Case(status=422, code="invalid-command", body=job(prioritty=1)),
    "unknown field, deep": Case(status=422, code="invalid-command", body=job(retry={"max_attempt": 1})),
    "stored name": Case(status=422, code="invalid-command", body=job(not_before_us=1)),
    "text for a number": Case(status=422, code="invalid-command", body=job(priority="1")),
    "true for a number": Case(status=422, code="invalid-command", body=job(priority=True)),
    "number for true": Case(status=422, code="invalid-command", body=job(hold=1)),
    "a half": Case(status=422, code="invalid-command", body=job(priority=0.5)),
    "beyond its bounds": Case(status=422, code="invalid-command", body=job(priority=101)),
    "negative retries": Case(status=422, code="invalid-command", body=job(retry={"max_attempts": -1})),
    "a long note": Case(status=422, code="invalid-command", body=job(note="x" * 1_001)),
    "both units": Case(status=422, code="invalid-command", body=job(size={"size_mb": 1, "size_bytes": 1})),
    "no zone": Case(status=422, code="invalid-command", body=job(not_before="2030-01-31T12:00:00")),
    "no date": Case(status=422, code="invalid-command", body=job(not_before="2030-02-30T12:00:00Z")),
    "the year 10000": Case(status=422, code="invalid-command", body=job(not_before="10000-01-01T00:00:00Z")),
    "beyond the calendar by its zone": Case(
        status=422, code="invalid-command", body=job(not_before="9999-12-31T23:59:59-12:00")
    ),
    "too deep": Case(status=422, code="invalid-command", body=job(parameters=nested(20))),
    "too deep to read": Case(status=400, code="invalid-json", body=job(parameters=nested(40))),
    "no such kind": Case(status=422, code="invalid-command", body=job(kind="bake")),
    "no such fact": Case(status=422, code="invalid-command", body=job(requirements=["encodr has x"])),
    # what is not said to be JSON
    "plain text": Case(status=415, code="unsupported-media-type", body="{}", content_type="text/plain"),
    "a form": Case(status=415, code="unsupported-media-type", body="a=1", content_type="application/x-www-form-urlencoded"),
    "no type": Case(status=415, code="unsupported-media-type", body="{}", content_type=None),
    "nearly JSON": Case(status=415, code="unsupported-media-type", body="{}", content_type="application/json5"),
    # elsewhere
    "edit of nothing": Case(status=422, code="invalid-command", method="PATCH", path="/jobs/{job}", body='{"stat": 1}'),
    "null where none may be": Case(
        status=422, code="invalid-command", method="PATCH", path="/jobs/{job}", body='{"priority": null}'
    ),
    "weak tag": Case(
        status=400, code="invalid-header", method="PATCH", path="/jobs/{job}", body="{}", headers={"If-Match": 'W/"1"'}
    ),
    "edit of what runs": Case(
        status=409, code="wrong-state", method="PATCH", path="/jobs/{job}", body="{}", headers={"If-Match": '"99"'}
    ),
    "an id that cannot be": Case(status=404, code="unknown-job", method="GET", path="/jobs/%00"),
    "a foreign token": Case(
        status=409, code="lease-lost", path="/jobs/{job}/renew", body='{"token": "x.1", "engine_id": "engine-1"}'
    ),
    "fraction above 1": Case(
        status=422, code="invalid-command", method="PUT", path="/jobs/{job}/progress", body=held(fraction=1.1)
    ),
    "an odd result": Case(
        status=422, code="invalid-command", method="PUT", path="/jobs/{job}/status",
        body=held(status="completed", result={"a": "\ud800"}),
    ),
    "fields of another status": Case(
        status=422, code="invalid-command", method="PUT", path="/jobs/{job}/status",
        body=held(status="completed", error={}),
    ),
    "facts that are none": Case(
        status=422, code="invalid-command", method="PUT", path="/engines/other",
        body=json.dumps({"session": "s", "profile": {"facts": {"codec": {"h264": True}}}}),
    ),
    "an unknown parameter": Case(status=400, code="invalid-parameter", method="GET", path="/jobs?stat=pending"),
    "an unknown state": Case(status=400, code="invalid-parameter", method="GET", path="/jobs?state=lost"),
    "a cursor of another order": Case(status=400, code="invalid-parameter", method="GET", path="/jobs?cursor=WyJ4Il0"),
    "a page of none": Case(status=400, code="invalid-parameter", method="GET", path="/jobs?limit=0"),
    # what is unusual, and is accepted
    "whole float": Case(status=201, body=job(priority=3.0)),
    "the largest number": Case(status=201, body=job(size={"size_bytes": MAX})),
    "the largest free number": Case(status=422, code="invalid-command", body=job(parameters={**PARAMETERS, "n": MAX})),
    "texts at the edges": Case(status=201, body=job(note="\uffff\U0010ffff\u202e\x7f\r\n")),
    "no more than a size": Case(status=201, body=job(size={"size_mb": None})),
    "long ago": Case(status=201, body=job(not_before="1970-01-01T00:00:00Z")),
    "in the last year": Case(status=201, body=job(not_before="9999-12-31T23:59:59.999999Z")),
    "a vendor's JSON": Case(status=201, body=job(), content_type="application/vnd.dispatch+json; v=1"),
}  # fmt: skip


@frozen
class World:
    """A server with a job that an engine is running, in front of one store."""

    client: TestClient
    job_id: str
    token: str

    def ask(self, case: Case) -> Result:
        """Make the request."""
        body = case.body.replace("{token}", self.token) if isinstance(case.body, str) else case.body
        headers = dict(case.headers) | (
            {} if case.content_type is None else {"Content-Type": case.content_type}
        )
        path, _, query = case.path.replace("{job}", self.job_id).partition("?")
        return self.client.simulate_request(
            case.method,
            path,
            query_string=query,
            body=body,
            headers=headers if body is not None else case.headers,
        )


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, postgres_databases: Databases) -> Iterator[list[World]]:
    """The same moment in each store: the same clock and the same ids. No case ends the lease."""
    shared = postgres_databases.lend()
    with ExitStack() as opened:
        opened.callback(postgres_databases.take_back, shared)
        made = []
        for url in ("memory:", str(tmp_path_factory.mktemp("verdicts") / "jobs.db"), shared):
            storage = create_storage(url, clock=ManualClock())
            opened.callback(storage.close)
            made.append(_world(opened.enter_context(Dispatcher(storage, ids=SeededIds(1)))))
        yield made


def _world(dispatcher: Dispatcher) -> World:
    client = TestClient(create_app(dispatcher, log=make_log(io.StringIO())), headers={"Host": "localhost"})
    lease = Fleet(client).running()
    assert lease["session"] == SESSION
    return World(client, lease["job_id"], lease["token"])


def without_names(answer: Result) -> dict[str, Any]:
    """An answer without the name of its request."""
    return {name: each for name, each in answer.json.items() if name != "request_id"}


@pytest.mark.checklist(21, 30, 32)
@pytest.mark.parametrize("name", BAD)
def test_every_store_gives_the_same_verdict(worlds: list[World], name: str) -> None:
    """The whole answer is the same, but for the name of the request and the incarnation of the store."""
    case = BAD[name]
    answers = [world.ask(case) for world in worlds]
    assert [answer.status_code for answer in answers] == [case.status] * 3, [each.text for each in answers]
    assert without_names(answers[0]) == without_names(answers[1]) == without_names(answers[2])
    assert answers[0].json.get("code", "") == case.code
    if case.status >= 400:
        assert all(answer.headers["Content-Type"] == "application/problem+json" for answer in answers)


@pytest.mark.checklist(67)
def test_an_unknown_field_is_told_with_the_one_that_was_meant(worlds: list[World]) -> None:
    """The pointer leads to it."""
    (error,) = worlds[0].ask(BAD["unknown field, deep"]).json["errors"]
    assert error["pointer"] == "/retry/max_attempt"
    assert "did you mean 'max_attempts'" in error["detail"]


def test_an_error_in_odd_letters_is_cleaned_alike(worlds: list[World]) -> None:
    """A report of a failure is accepted whatever its text; what is kept of it is the same."""
    error = {"message": "\x00\ud800" + "x" * 9_000}
    case = Case(status=200, method="PUT", path="/jobs/{job}/status", body=held(status="failed", error=error))
    answers = [world.ask(case) for world in worlds]
    assert [answer.status_code for answer in answers] == [200] * 3
    kept = [answer.json["error"]["message"] for answer in answers]
    assert kept[0] == kept[1] == kept[2]
    assert len(kept[0]) == 1_000
