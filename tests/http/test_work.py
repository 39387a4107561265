"""Work over HTTP: what engines do, and what they hear when the work is no longer theirs."""

import pytest
from falcon.testing import TestClient

from dispatch_core import Dispatcher, ManualClock
from tests.http.fleet import SESSION, Fleet, insist, pointers, problem

CLAIM = {"engine_id": "engine-1", "session": SESSION}


@pytest.mark.checklist(86)
def test_a_claim_answers_a_lease(fleet: Fleet, client: TestClient) -> None:
    """201 with the token, the deadline and the job; Location leads to the attempt."""
    job = fleet.submit()
    fleet.register()
    answer = client.simulate_post("/queue/next_job", params={**CLAIM, "wait": "0.5"})
    lease = insist(answer, 201)
    assert answer.headers["Location"] == f"/jobs/{job['id']}/attempts/1"
    assert (lease["job_id"], lease["attempt"], lease["job"]["state"]) == (job["id"], 1, "assigned")
    assert insist(client.simulate_get(answer.headers["Location"]), 200)["engine_id"] == "engine-1"


def test_a_claim_that_finds_nothing_answers_204(fleet: Fleet, client: TestClient) -> None:
    """No job is not an error, and there is no body."""
    fleet.register()
    answer = client.simulate_post("/queue/next_job", params=CLAIM)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"session": SESSION}, "engine_id"),
        ({"engine_id": "engine-1"}, "session"),
        ({**CLAIM, "wait": "long"}, "wait"),
        ({**CLAIM, "wait": "-1"}, "wait"),
        ({**CLAIM, "wait": "nan"}, "wait"),
        ({**CLAIM, "engine_id": "a b"}, "engine_id"),
        ({**CLAIM, "session": "x" * 256}, "session"),
        ({**CLAIM, "session": "a\x00b"}, "session"),
        ({**CLAIM, "engine": "engine-1"}, "engine"),
    ],
)
def test_an_unfit_claim_names_the_parameter(client: TestClient, params: dict[str, str], name: str) -> None:
    """400 with the parameter's name; a missing one is named, too."""
    form = problem(client.simulate_post("/queue/next_job", params=params), 400, "invalid-parameter")
    assert form["errors"][0]["parameter"] == name


def test_a_stranger_cannot_claim(client: TestClient) -> None:
    """An engine must register first."""
    problem(client.simulate_post("/queue/next_job", params=CLAIM), 404, "unknown-engine")


def test_an_older_start_of_an_engine_cannot_claim(fleet: Fleet, client: TestClient) -> None:
    """409 session-replaced: another process of the same engine has registered since."""
    fleet.register()
    fleet.register(session="second-start")
    problem(client.simulate_post("/queue/next_job", params=CLAIM), 409, "session-replaced")


@pytest.mark.checklist(86)
def test_a_preview_changes_nothing(fleet: Fleet, client: TestClient) -> None:
    """GET shows what a claim would get, and the job is still there for the claim."""
    job = fleet.submit()
    fleet.register()
    for _ in range(2):
        seen = insist(client.simulate_get("/queue/next_job", params={"engine_id": "engine-1"}), 200)
        assert seen["chosen"]["job_id"] == job["id"]
    assert fleet.job(job["id"])["version"] == 1


@pytest.mark.checklist(28)
def test_progress_renews_and_is_shown(fleet: Fleet, client: TestClient, clock: ManualClock) -> None:
    """The answer holds the new deadline; the attempt shows how far it is."""
    lease = fleet.running()
    clock.advance(20)
    body = {
        "token": lease["token"],
        "engine_id": "engine-1",
        "fraction": 0.25,
        "speed": 2,
        "message": "pass 1",
    }
    status = insist(client.simulate_put(f"/jobs/{lease['job_id']}/progress", json=body), 200)
    assert status["deadline_at"] > lease["deadline_at"]
    assert (status["cancel"], status["lost"]) == (False, False)
    attempt = insist(client.simulate_get(f"/jobs/{lease['job_id']}/attempts/1"), 200)
    assert attempt["progress"] == {"fraction": 0.25, "speed": 2.0, "message": "pass 1"}


@pytest.mark.parametrize("fraction", [1.5, -0.1, "half", None, True])
def test_unfit_progress_is_pointed_at(fleet: Fleet, client: TestClient, fraction: object) -> None:
    """422 points at the fraction."""
    lease = fleet.running()
    body = {"token": lease["token"], "engine_id": "engine-1", "fraction": fraction}
    answer = client.simulate_put(f"/jobs/{lease['job_id']}/progress", json=body)
    assert pointers(problem(answer, 422, "invalid-command")) == ["/fraction"]


def test_renew_extends_one_lease(fleet: Fleet, client: TestClient, clock: ManualClock) -> None:
    """The deadline moves; a cancel is heard with it."""
    lease = fleet.running()
    clock.advance(20)
    held = {"token": lease["token"], "engine_id": "engine-1"}
    status = insist(client.simulate_post(f"/jobs/{lease['job_id']}/renew", json=held), 200)
    assert status["deadline_at"] > lease["deadline_at"]
    client.simulate_post(f"/jobs/{lease['job_id']}/cancel")
    assert insist(client.simulate_post(f"/jobs/{lease['job_id']}/renew", json=held), 200)["cancel"] is True


@pytest.mark.checklist(27)
def test_complete_ends_the_job_and_a_repeat_hears_the_same(fleet: Fleet) -> None:
    """A report whose answer was lost on the way may be sent again."""
    lease = fleet.running()
    first = fleet.report(lease, result={"size_bytes": 5}, usage={"cpu_s": 1.5})
    again = fleet.report(lease, result={"size_bytes": 5}, usage={"cpu_s": 1.5})
    assert insist(first, 200)["outcome"] == "completed"
    assert again.json == first.json
    job = fleet.job(lease["job_id"])
    assert (job["state"], job["result"]) == ("completed", {"size_bytes": 5})


@pytest.mark.checklist(27)
def test_a_report_may_be_patched(fleet: Fleet, client: TestClient) -> None:
    """PATCH and PUT of a status are the same."""
    lease = fleet.running()
    body = {"token": lease["token"], "engine_id": "engine-1", "status": "given_back", "reason": "leaving"}
    assert (
        insist(client.simulate_patch(f"/jobs/{lease['job_id']}/status", json=body), 200)["outcome"]
        == "given_back"
    )
    assert fleet.job(lease["job_id"])["state"] == "pending"


def test_a_failure_is_kept_with_its_reason(fleet: Fleet) -> None:
    """The error stands on the attempt; the job backs off."""
    lease = fleet.running()
    error = {"failure_class": "input", "message": "moov atom not found", "detail": "…", "retryable": True}
    attempt = insist(fleet.report(lease, "failed", error=error), 200)
    assert attempt["error"] == error
    assert fleet.job(lease["job_id"])["state"] == "failed_retry"


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "x" * 100_000])
def test_a_failure_is_never_refused_for_its_text(fleet: Fleet, text: str) -> None:
    """What no store can hold is mended: a job whose end cannot be reported would never end."""
    lease = fleet.running()
    attempt = insist(fleet.report(lease, "failed", error={"message": text, "detail": text}), 200)
    assert attempt["outcome"] == "failed"
    assert len(attempt["error"]["message"]) <= 1_000


def test_a_failure_without_an_error_is_accepted(fleet: Fleet) -> None:
    """A vague report is better than none."""
    attempt = insist(fleet.report(fleet.running(), "failed"), 200)
    assert attempt["error"]["failure_class"] == "engine"


@pytest.mark.parametrize(
    ("status", "fields", "where"),
    [
        ("completed", {"error": {"message": "x"}}, ["/error"]),
        ("failed", {"result": {}}, ["/result"]),
        ("given_back", {"result": {}, "usage": {}}, ["/result", "/usage"]),
        ("done", {}, ["/status"]),
        ("completed", {"result": 5}, ["/result"]),
        ("completed", {"result": {"name": "a\x00"}}, ["/result"]),
        ("failed", {"error": {"colour": 1}}, ["/error/colour"]),
    ],
)
def test_an_unfit_report_is_pointed_at(
    fleet: Fleet, status: str, fields: dict[str, object], where: list[str]
) -> None:
    """422: a field that does not belong to the status is refused, not ignored."""
    answer = fleet.report(fleet.running(), status, **fields)
    assert pointers(problem(answer, 422, "invalid-command")) == where


def test_who_lost_the_lease_is_told_so(
    fleet: Fleet, client: TestClient, clock: ManualClock, dispatcher: Dispatcher
) -> None:
    """After another grant, every report of the older attempt is 409 lease-lost and changes nothing."""
    dispatcher.tick()
    clock.advance(31)  # the dispatcher gives engines one lease time after its own start
    old = fleet.running()
    clock.advance(31)
    dispatcher.tick()
    fleet.register("engine-2")
    new = fleet.claim("engine-2")
    held = {"token": old["token"], "engine_id": "engine-1"}
    path = f"/jobs/{old['job_id']}"
    problem(fleet.report(old), 409, "lease-lost")
    problem(fleet.report(old, "failed"), 409, "lease-lost")
    problem(client.simulate_post(f"{path}/renew", json=held), 409, "lease-lost")
    problem(client.simulate_put(f"{path}/progress", json={**held, "fraction": 0.5}), 409, "lease-lost")
    assert insist(fleet.report(new), 200)["outcome"] == "completed"


def test_a_made_up_token_is_lost(fleet: Fleet, client: TestClient) -> None:
    """A token that was never issued gets the same answer as one that was superseded."""
    lease = fleet.running()
    for token in ("x", "x.1", "1", ".1", "é.1", "a" * 64):
        problem(fleet.report({**lease, "token": token}), 409, "lease-lost")
    problem(fleet.report({**lease, "engine_id": "engine-2"}), 409, "lease-lost")


def test_a_report_about_no_job_is_unknown(fleet: Fleet) -> None:
    """404: an engine that hears it has nothing to stop."""
    problem(fleet.report({**fleet.running(), "job_id": "job-none"}), 404, "unknown-job")


@pytest.mark.checklist(27)
@pytest.mark.parametrize(
    ("verb", "body", "state", "outcome"),
    [
        ("complete", {"result": {"size": 7}, "usage": {"cpu_s": 3}}, "completed", "completed"),
        ("complete", {}, "completed", "completed"),
        ("fail", {"error": {"message": "no such encoder"}}, "failed_retry", "failed"),
        ("fail", {}, "failed_retry", "failed"),
    ],
)
def test_the_short_forms_are_the_same_report(
    fleet: Fleet, client: TestClient, verb: str, body: dict[str, object], state: str, outcome: str
) -> None:
    """A repeat is 200 with the same answer, in either form; another report of the same attempt is lost."""
    lease = fleet.running()
    held = {"token": lease["token"], "engine_id": lease["engine_id"]}
    path = f"/jobs/{lease['job_id']}/{verb}"
    first = insist(client.simulate_post(path, json={**held, **body}), 200)
    assert (first["outcome"], fleet.job(lease["job_id"])["state"]) == (outcome, state)
    assert insist(client.simulate_post(path, json={**held, **body}), 200) == first
    assert insist(fleet.report(lease, outcome), 200) == first
    other = "fail" if verb == "complete" else "complete"
    problem(client.simulate_post(f"/jobs/{lease['job_id']}/{other}", json=held), 409, "lease-lost")
    assert fleet.job(lease["job_id"])["state"] == state


@pytest.mark.checklist(27)
@pytest.mark.parametrize(
    ("verb", "fields", "pointer"),
    [
        ("complete", {"error": {"message": "x"}}, "/error"),
        ("complete", {"status": "failed"}, "/status"),
        ("fail", {"result": {}}, "/result"),
        ("fail", {"token": None}, "/token"),
    ],
)
def test_a_short_form_takes_what_belongs_to_it(
    fleet: Fleet, client: TestClient, verb: str, fields: dict[str, object], pointer: str
) -> None:
    """What does not is refused with its pointer, and the attempt goes on."""
    lease = fleet.running()
    body = {"token": lease["token"], "engine_id": lease["engine_id"], **fields}
    answer = client.simulate_post(f"/jobs/{lease['job_id']}/{verb}", json=body)
    assert pointers(problem(answer, 422, "invalid-command")) == [pointer]
    assert fleet.job(lease["job_id"])["state"] == "assigned"
