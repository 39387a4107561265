"""Many in one request: a list of jobs, lines of jobs, and the reports of an engine."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from falcon.testing import Result, TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatch_core import Dispatcher, ManualClock, SeededIds
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.observing import make_log
from dispatch_http.settings import HttpSettings
from tests.http.fleet import PARAMETERS, SESSION, Fleet, insist, pointers, problem

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
GOOD: dict[str, object] = {"parameters": PARAMETERS}


def lines(client: TestClient, text: str | bytes, **headers: str) -> list[dict[str, Any]]:
    """The answers to a body of lines."""
    answer = client.simulate_post("/jobs", body=text, headers={**LINES, **headers})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/x-ndjson"), answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def ndjson(forms: Sequence[object]) -> str:
    """A line each."""
    return "".join(json.dumps(form) + "\n" for form in forms)


def count(client: TestClient) -> int:
    """How many jobs there are."""
    return int(client.simulate_get("/status").json["accepted"])


# ----- a list


def test_a_list_is_submitted_in_its_order(client: TestClient) -> None:
    """200 with the jobs in the order of their forms; it is also the order in which they were created."""
    forms = [{**GOOD, "note": f"number {number}"} for number in range(20)]
    jobs = insist(client.simulate_post("/jobs", json=forms), 200)["jobs"]
    assert [job["note"] for job in jobs] == [form["note"] for form in forms]
    listed = client.simulate_get("/jobs", params={"sort": "created_at"}).json["jobs"]
    assert [job["id"] for job in listed] == [job["id"] for job in jobs]
    (job,) = insist(client.simulate_post("/jobs?fields=id", json=[GOOD]), 200)["jobs"]
    assert job.keys() == {"id"}


@pytest.mark.parametrize(
    ("forms", "wanted"),
    [
        ([GOOD, GOOD, GOOD, {**GOOD, "priority": 101}], ["/3/priority"]),
        ([GOOD, {"nope": 1}, {**GOOD, "priority": "x"}], ["/1/nope", "/2/priority"]),
        ([{**GOOD, "kind": "unheard"}, GOOD, {**GOOD, "pool": "none"}], ["/0/kind", "/2/pool"]),
        ([{**GOOD, "kind": "unheard"}], ["/0/kind"]),
        ([{**GOOD, "requirements": ["ffmpeg >="]}, GOOD], ["/0/requirements/0"]),
        ([GOOD, {**GOOD, "max_retries": -1}], ["/1/max_retries"]),
        ([GOOD, {**GOOD, "not_before": "noon"}], ["/1/not_before"]),
        ([GOOD, 7, None, [GOOD]], ["/1", "/2", "/3"]),
        ([], [""]),
        ([GOOD] * 1_001, [""]),
    ],
)
def test_a_list_is_all_or_nothing(client: TestClient, forms: list[object], wanted: list[str]) -> None:
    """422 that names every field of every form, and nothing is accepted."""
    form = problem(client.simulate_post("/jobs", json=forms), 422, "invalid-command")
    assert pointers(form) == wanted
    assert all(error["detail"] for error in form["errors"])
    assert count(client) == 0


def test_a_list_is_repeated_with_its_key(client: TestClient) -> None:
    """The same answer and no more jobs; another list under the key is refused."""
    headers = {"Idempotency-Key": "nightly"}
    first, again = (client.simulate_post("/jobs", json=[GOOD] * 3, headers=headers) for _ in range(2))
    assert first.json == again.json
    problem(client.simulate_post("/jobs", json=[GOOD], headers=headers), 422, "idempotency-key-reused")
    assert count(client) == 3


# ----- lines


def test_bad_lines_are_answered_in_place(client: TestClient) -> None:
    """Each by its number, with its field; the others of the same chunk are submitted."""
    text = "\n".join(
        [
            json.dumps(GOOD),
            "{broken",
            "",
            json.dumps({**GOOD, "priority": 101}),
            json.dumps({**GOOD, "kind": "unheard"}),
            '{"note": "\\u0000"}',
            "7",
            "[" * 50 + "]" * 50,
            json.dumps(GOOD),
        ]
    )
    found = lines(client, text)
    assert [each["line"] for each in found] == [1, 2, 4, 5, 6, 7, 8, 9]
    assert [each["status"] for each in found] == [201, 400, 422, 422, 400, 422, 400, 201]
    said = [each["problem"]["errors"][0].get("pointer") for each in found if "problem" in each]
    assert said == [None, "/priority", "/kind", "/note", "", "/" + "/".join("0" * 31) + "/0"]
    assert count(client) == 2


def test_lines_go_in_chunks_with_a_receipt_each(client: TestClient, dispatcher: Dispatcher) -> None:
    """2,500 lines are three commits; a repeat has the same answers, whatever was refused, and makes no job."""
    forms: list[object] = [{**GOOD, "hold": True, "note": str(number)} for number in range(2_500)]
    forms[1_200] = {**GOOD, "pool": "none"}
    first = lines(client, ndjson(forms), **{"Idempotency-Key": "k"})
    assert [each["line"] for each in first] == list(range(1, 2_501))
    assert [each["line"] for each in first if each["status"] != 201] == [1_201]
    assert [each["job"]["note"] for each in first if "job" in each] == [
        str(number) for number in range(2_500) if number != 1_200
    ]
    insist(client.simulate_post("/pools", json={"id": "none", "capacity_bytes": 10}), 201)
    assert lines(client, ndjson(forms), **{"Idempotency-Key": "k"}) == first
    assert count(client) == 2_499
    grown = lines(client, ndjson([*forms[:2_000], *forms[:3]]), **{"Idempotency-Key": "k"})
    assert {each["problem"]["code"] for each in grown[2_000:]} == {"idempotency-key-reused"}


class Tight:
    """Small limits, to meet them."""

    @pytest.fixture
    def settings(self) -> HttpSettings:
        """A line has at most 1 KiB, a body 4."""
        return HttpSettings(body_bytes_max=1_024, lines_bytes_max=4_096)


class TestLimits(Tight):
    """Of lines and of bodies of lines."""

    def test_a_line_that_is_too_long_is_skipped(self, client: TestClient) -> None:
        """413 for that line; those around it are submitted."""
        short = json.dumps(GOOD)
        for long in (json.dumps({**GOOD, "note": "x" * 1_100}), "y" * 1_500):
            found = lines(client, f"{short}\n{long}\n{short}")
            assert [(each["line"], each["status"]) for each in found] == [(1, 201), (2, 413), (3, 201)]

    def test_a_body_that_is_too_large_is_refused(self, client: TestClient) -> None:
        """413 if it is announced; else the line says so at which reading ended."""
        text = f"{json.dumps(GOOD)}\n".encode() * 60
        problem(client.simulate_post("/jobs", body=text, headers=LINES), 413, "content-too-large")
        unsaid = {"Content-Length": ""}
        answer = client.simulate_post(
            "/jobs", body=text, headers={**LINES, **unsaid}, extras={"wsgi.input_terminated": True}
        )
        last = json.loads(answer.text.splitlines()[-1])
        assert (last["status"], last["problem"]["code"]) == (413, "content-too-large")


def test_lines_without_a_line_are_answered_with_none(client: TestClient) -> None:
    """An empty body is no mistake."""
    assert lines(client, "") == lines(client, "\n \n") == []


def test_lines_need_a_caller_who_reads_lines(client: TestClient) -> None:
    """406, before anything is submitted."""
    headers = {**LINES, "Accept": "application/xml"}
    problem(client.simulate_post("/jobs", body=json.dumps(GOOD), headers=headers), 406, "not-acceptable")
    assert count(client) == 0


# ----- reports


def leases(fleet: Fleet, many: int) -> list[dict[str, Any]]:
    """Leases of one engine, granted in one transaction."""
    insist(fleet.client.simulate_post("/jobs", json=[GOOD] * many), 200)
    fleet.register(slots=many)
    params = {"engine_id": "engine-1", "session": SESSION, "limit": str(many)}
    return list(insist(fleet.client.simulate_post("/queue/next_job", params=params), 201)["leases"])


def report(fleet: Fleet, reports: object, **headers: str) -> Result:
    """What the engine's reports are answered."""
    body = json.dumps({"reports": reports})
    path = "/engines/engine-1/reports"
    typed = {"Content-Type": "application/json", **headers}
    return fleet.client.simulate_post(path, body=body, headers=typed)


def about(lease: dict[str, Any], status: str, **fields: object) -> dict[str, object]:
    """One report."""
    return {"job_id": lease["job_id"], "token": lease["token"], "status": status, **fields}


def test_every_report_is_answered_for_itself(fleet: Fleet) -> None:
    """Renewals, progress and ends in one request; one that is lost or unfit keeps no other back."""
    held = leases(fleet, 7)
    answer = report(fleet, [
        about(held[0], "running"),
        about(held[1], "running", progress={"fraction": 0.5}),
        about(held[2], "completed", result={"ok": True}),
        about(held[3], "failed", error={"message": "no \ud800"}),
        about(held[4], "given_back", reason="leaving"),
        about({**held[5], "token": "x.1"}, "completed"),
        about(held[6], "completed", progress={"fraction": 1}),
        about({**held[6], "job_id": "job-none"}, "running"),
        {"job_id": "\ud800"},
        7,
    ])  # fmt: skip
    found = insist(answer, 200)["reports"]
    assert [each["status"] for each in found] == [200, 200, 200, 200, 200, 409, 422, 404, 422, 422]
    assert found[0]["lease"]["lost"] is False
    assert [each["attempt"]["outcome"] for each in found[2:5]] == ["completed", "failed", "given_back"]
    assert found[5]["problem"]["code"] == "lease-lost"
    assert [error["pointer"] for error in found[6]["problem"]["errors"]] == ["/progress"]
    assert found[8]["job_id"] is None
    states = [fleet.job(lease["job_id"])["state"] for lease in held]
    assert states == ["assigned", "assigned", "completed", "failed_retry", "pending", "assigned", "assigned"]


def test_repeated_reports_have_the_same_answers(fleet: Fleet) -> None:
    """With a key and without: an end that was reported is not reported anew."""
    held = leases(fleet, 2)
    reports = [about(lease, "completed") for lease in held]
    first = insist(report(fleet, reports, **{"Idempotency-Key": "k"}), 200)
    assert insist(report(fleet, reports, **{"Idempotency-Key": "k"}), 200) == first
    assert insist(report(fleet, reports), 200) == first


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/reports"),
        ({"reports": 7}, "/reports"),
        ({"reports": []}, "/reports"),
        ({"reports": [{}] * 1_001}, "/reports"),
        ({"reports": [], "more": 1}, "/more"),
        ([], ""),
    ],
)
def test_what_is_no_list_of_reports_is_refused(fleet: Fleet, body: object, pointer: str) -> None:
    """422 that points at it."""
    fleet.register()
    answer = fleet.client.simulate_post("/engines/engine-1/reports", json=body)
    assert pointer in pointers(problem(answer, 422, "invalid-command"))


def test_an_unknown_engine_reports_nothing(fleet: Fleet) -> None:
    """404."""
    (lease,) = leases(fleet, 1)
    body = {"reports": [about(lease, "completed")]}
    problem(fleet.client.simulate_post("/engines/engine-9/reports", json=body), 404, "unknown-engine")


# ----- the law: many at once are the single ones, one after another

FORMS = st.fixed_dictionaries(
    {},
    optional={
        "parameters": st.sampled_from([PARAMETERS, {}, {"source": "a"}, 7]),
        "priority": st.sampled_from([0, 3, 100, 101, "x", None]),
        "kind": st.sampled_from(["transcode", "none"]),
        "requirements": st.sampled_from([[], ["ffmpeg >= 6"], ["ffmpeg >="], ["colour is blue"]]),
        "max_retries": st.sampled_from([0, 5, -1]),
        "nope": st.just(1),
    },
)


def fresh() -> Fleet:
    """A fleet of its own, on a store of its own; every one draws the same ids."""
    dispatcher = Dispatcher(MemoryStorage(ManualClock()), ids=SeededIds(1))
    app = create_app(dispatcher, log=make_log(io.StringIO()))
    return Fleet(TestClient(app, headers={"Host": "localhost"}))


def verdict(status: int, form: dict[str, Any]) -> object:
    """What matters of an answer."""
    told = form.get("problem", form)
    return status, told.get("code"), told.get("errors") if status >= 400 else None


@given(forms=st.lists(FORMS | st.none(), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_and_lists_have_the_verdicts_of_single_submits(forms: list[object]) -> None:
    """Line by line the same status, code and fields; a list is accepted exactly if all of them are."""
    alone, together = fresh().client, fresh().client
    singles = [alone.simulate_post("/jobs", body=json.dumps(form), headers=JSON) for form in forms]
    wanted = [verdict(each.status_code, each.json) for each in singles]
    found = [verdict(each["status"], each) for each in lines(together, ndjson(forms))]
    assert found == wanted
    listed = fresh().client.simulate_post("/jobs", json=forms)
    assert (listed.status_code == 200) == all(each.status_code == 201 for each in singles)


@given(
    said=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["running", "completed", "failed", "given_back", "unheard"]),
            st.sampled_from([{}, {"result": {}}, {"error": {}}, {"reason": "r"}, {"token": "x.1"}]),
        ),
        max_size=8,
        min_size=1,
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_reports_have_the_verdicts_of_single_ones(
    said: list[tuple[int, str, dict[str, object]]],
) -> None:
    """Each as if it had come alone, in its turn, and the jobs end the same."""
    alone, together = fresh(), fresh()
    one, many = leases(alone, 4), leases(together, 4)
    wanted = []
    for which, status, fields in said:
        body = {"token": one[which]["token"], "engine_id": "engine-1", **fields}
        path = f"/jobs/{one[which]['job_id']}/"
        if status == "running":
            extra = {name: 1 for name in fields if name != "token"}  # which a renewal does not take
            answer = alone.client.simulate_post(path + "renew", json={**body, **extra})
        else:
            answer = alone.client.simulate_put(path + "status", json={**body, "status": status})
        wanted.append((answer.status_code, answer.json.get("code")))
    reports = [about(many[which], status) | fields for which, status, fields in said]
    found = insist(report(together, reports), 200)["reports"]
    assert [(each["status"], each.get("problem", {}).get("code")) for each in found] == wanted
    assert [together.job(each["job_id"])["state"] for each in many] == [
        alone.job(each["job_id"])["state"] for each in one
    ]
