"""Jobs over HTTP: every verb people have, what it answers, and what refuses it."""

from datetime import UTC, datetime, timedelta

import pytest
from falcon.testing import TestClient

from dispatch_core import ManualClock
from tests.http.fleet import PARAMETERS, Fleet, insist, pointers, problem


@pytest.mark.checklist(92)
def test_submit_answers_the_job_with_its_place_and_version(client: TestClient) -> None:
    """201, Location leads to the job, and the entity tag is the version."""
    body = {
        "kind": "transcode",
        "parameters": PARAMETERS,
        "priority": 5,
        "size": {"size_mb": 1.5, "duration_s": 60.5, "width": 1920, "height": 1080},
        "requirements": ["encoder has libx264"],
        "retry": {"max_attempts": 2},
        "timeouts": {"run_s": 3600},
        "note": "first",
    }
    answer = client.simulate_post("/jobs", json=body)
    job = insist(answer, 201)
    assert answer.headers["Location"] == f"/jobs/{job['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert job["size"] == {"size_bytes": 1_500_000, "duration_s": 60.5, "width": 1920, "height": 1080}
    shown = client.simulate_get(answer.headers["Location"])
    assert shown.json == job


def test_a_start_time_ahead_delays_a_job(fleet: Fleet) -> None:
    """not_before is an RFC 3339 time; the job waits for it in the state delayed."""
    job = fleet.submit(not_before="2040-01-01T00:00:00+01:00")
    assert job["state"] == "delayed"
    assert job["not_before"] == "2039-12-31T23:00:00.000000Z"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"priority": 101}, ["/priority"]),
        ({"priority": "high"}, ["/priority"]),
        ({"priority": True}, ["/priority"]),
        ({"kind": 7, "note": ["x"]}, ["/kind", "/note"]),
        ({"size": {"width": "wide", "heigth": 2}}, ["/size/width", "/size/heigth"]),
        ({"size": {"size_mb": -1}}, ["/size/size_mb"]),
        ({"requirements": ["no such fact"]}, ["/requirements/0"]),
        ({"not_before": "tomorrow"}, ["/not_before"]),
        ({"not_before": "2030-01-01T00:00:00"}, ["/not_before"]),
        ({"not_before": "9999-12-31T23:59:59-23:00"}, ["/not_before"]),
        ({"not_before": "0001-01-01T00:00:00+23:00"}, ["/not_before"]),
        ({"not_before_us": 2**62}, ["/not_before_us"]),
        ({"account": ""}, ["/account"]),
        ({"deadline": "2h"}, ["/deadline"]),
        ({"deadline": {}}, ["/deadline/at"]),
        ({"deadline": {"at": "soon"}}, ["/deadline/at"]),
        ({"deadline": {"at": None}}, ["/deadline/at"]),
        ({"deadline": {"at_us": 1}}, ["/deadline/at_us"]),
        ({"deadline": {"at": "2040-01-01T00:00:00Z", "hard": 1}}, ["/deadline/hard"]),
        ({"parameters": {"source": "a"}}, ["/parameters/target"]),
        ({"retry": {"max_attempts": 0}}, ["/retry/max_attempts"]),
        ({"state": "completed", "tenant": "other"}, ["/state", "/tenant"]),
        ({"prioritty": 1}, ["/prioritty"]),
    ],
)
@pytest.mark.checklist(17)
def test_an_unfit_field_is_pointed_at(
    client: TestClient, fields: dict[str, object], where: list[str]
) -> None:
    """422 names every unfit, unknown or read-only field by its JSON pointer."""
    answer = client.simulate_post("/jobs", json={"parameters": PARAMETERS, **fields})
    assert sorted(pointers(problem(answer, 422, "invalid-command"))) == sorted(where)


def test_a_misspelled_field_gets_a_hint(client: TestClient) -> None:
    """An unknown field that is close to a known one is answered with the known one."""
    answer = client.simulate_post("/jobs", json={"parameters": PARAMETERS, "prioritty": 1})
    assert "did you mean 'priority'" in problem(answer, 422, "invalid-command")["errors"][0]["detail"]


@pytest.mark.parametrize("body", [[], "text", 5, None, [1]])
def test_a_body_that_is_no_object_is_refused(client: TestClient, body: object) -> None:
    """A job is an object."""
    problem(client.simulate_post("/jobs", json=body), 422, "invalid-command")


def test_a_list_goes_on_where_it_stopped(fleet: Fleet, client: TestClient, clock: ManualClock) -> None:
    """Following next_cursor shows every job once, in the order asked for."""
    ids = []
    for number in range(7):
        ids.append(fleet.submit(priority=number % 3)["id"])
        clock.advance(1)
    for sort in ("created_at", "-created_at", "priority", "-priority"):
        seen: list[str] = []
        params: dict[str, object] = {"limit": 3, "sort": sort}
        for _ in range(5):
            page = insist(client.simulate_get("/jobs", params=params), 200)
            seen += [job["id"] for job in page["jobs"]]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        assert sorted(seen) == sorted(ids)
        if sort == "created_at":
            assert seen == ids


def test_a_list_can_be_narrowed(fleet: Fleet, client: TestClient) -> None:
    """state, kind and engine filter; a state parameter may be repeated or hold several, with commas."""
    lease = fleet.running()
    waiting = fleet.submit()

    def ids(query: str) -> list[str]:
        page = insist(client.simulate_get("/jobs", query_string=query), 200)
        return sorted(job["id"] for job in page["jobs"])

    both = sorted([lease["job_id"], waiting["id"]])
    assert ids("state=assigned") == [lease["job_id"]]
    assert ids("state=assigned&state=pending") == both
    assert ids("state=assigned,pending") == both
    assert ids("engine=engine-1") == [lease["job_id"]]
    assert ids("kind=transcode") == both
    assert ids("kind=other") == []


def test_a_cursor_belongs_to_its_order(fleet: Fleet, client: TestClient) -> None:
    """A cursor of one order is refused in another, and so is anything that is no cursor."""
    fleet.submit()
    fleet.submit()
    cursor = insist(client.simulate_get("/jobs", params={"limit": 1}), 200)["next_cursor"]
    for params in (
        {"cursor": cursor, "sort": "priority"},
        {"cursor": "WzFd"},
        {"cursor": "é"},
        {"cursor": "x"},
    ):
        problem(client.simulate_get("/jobs", params=params), 400, "invalid-parameter")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=1e2", "limit=", "limit=1&limit=2", "sort=name", "state=done", "colour=red",
     "deleted=maybe", "cursor=" + "a" * 600, "kind=" + "k" * 300, "limit=9999999999999999999999"],
)  # fmt: skip
def test_an_unfit_parameter_is_named(client: TestClient, query: str) -> None:
    """400 names the query parameter, unknown ones included: none is ignored."""
    form = problem(client.simulate_get("/jobs", query_string=query), 400, "invalid-parameter")
    assert form["errors"][0]["parameter"] == query.partition("=")[0]


def test_parameters_are_refused_where_none_are_known(fleet: Fleet, client: TestClient) -> None:
    """A parameter that a route does not have is refused, not ignored."""
    job = fleet.submit()
    problem(client.simulate_get(f"/jobs/{job['id']}", query_string="verbose=1"), 400, "invalid-parameter")


@pytest.mark.checklist(25)
@pytest.mark.checklist(63)
def test_an_edit_changes_what_it_names(fleet: Fleet, client: TestClient) -> None:
    """A merge patch leaves alone what it does not name."""
    job = fleet.submit(note="keep", priority=1)
    answer = client.simulate_patch(
        f"/jobs/{job['id']}", json={"priority": 9}, headers={"Content-Type": "application/merge-patch+json"}
    )
    edited = insist(answer, 200)
    assert (edited["priority"], edited["note"], edited["version"]) == (9, "keep", 2)
    assert answer.headers["ETag"] == '"2"'


def test_an_edit_merges_nested_objects(fleet: Fleet, client: TestClient) -> None:
    """RFC 7396: fields of retry, timeouts, size and parameters that are not named stay."""
    job = fleet.submit(retry={"max_attempts": 2, "factor": 3.0})
    edit = {"retry": {"max_attempts": 5}, "parameters": {"crf": 20}}
    edited = insist(client.simulate_patch(f"/jobs/{job['id']}", json=edit), 200)
    assert (edited["retry"]["max_attempts"], edited["retry"]["factor"]) == (5, 3.0)
    assert edited["parameters"] == {**PARAMETERS, "crf": 20}


def test_an_edit_of_a_running_job_is_refused(fleet: Fleet, client: TestClient) -> None:
    """409: an engine works on what was granted."""
    lease = fleet.running()
    answer = client.simulate_patch(f"/jobs/{lease['job_id']}", json={"priority": 9})
    problem(answer, 409, "wrong-state")


def test_hold_and_release(fleet: Fleet, client: TestClient) -> None:
    """A held job shows its reason and is not granted until it is released."""
    path = f"/jobs/{fleet.submit()['id']}"
    fleet.register()
    held = insist(client.simulate_post(f"{path}/hold", json={"reason": "wait for the disk"}), 200)
    assert held["hold"] == {"reason": "wait for the disk"}
    nothing = client.simulate_post(
        "/queue/next_job", params={"engine_id": "engine-1", "session": "first-start"}
    )
    assert (nothing.status_code, nothing.content) == (204, b"")
    assert insist(client.simulate_post(f"{path}/release"), 200)["hold"] is None
    fleet.claim()


@pytest.mark.checklist(82)
def test_assign_pins_and_unpins(fleet: Fleet, client: TestClient) -> None:
    """A pin names the engine and its end; null ends it."""
    path = f"/jobs/{fleet.submit()['id']}/assign"
    fleet.register()
    wish = {"engine_id": "engine-1", "until": "2031-01-01T00:00:00Z", "reason": "has the file"}
    pinned = insist(client.simulate_post(path, json=wish), 200)
    assert pinned["pin"] == {**wish, "until": "2031-01-01T00:00:00.000000Z"}
    assert insist(client.simulate_post(path, json={"engine_id": None}), 200)["pin"] is None
    assert pointers(problem(client.simulate_post(path, json={}), 422, "invalid-command")) == ["/engine_id"]
    for until in ("soon", "1960-01-01T00:00:00Z", "9999-12-31T23:59:59-23:00"):
        answer = client.simulate_post(path, json={"engine_id": "engine-1", "until": until})
        assert pointers(problem(answer, 422, "invalid-command")) == ["/until"]


@pytest.mark.checklist(18)
@pytest.mark.checklist(19)
@pytest.mark.checklist(80)
def test_cancel_requeue_delete_restore(fleet: Fleet, client: TestClient) -> None:
    """The verbs of an operator, each answered with the job as it is then."""
    path = f"/jobs/{fleet.submit()['id']}"
    cancelled = insist(client.simulate_post(f"{path}/cancel", json={"reason": "wrong file"}), 200)
    assert (cancelled["state"], cancelled["cancel_reason"]) == ("cancelled", "wrong file")
    assert insist(client.simulate_post(f"{path}/requeue"), 200)["generation"] == 2
    deleted = insist(client.simulate_delete(path), 200)
    assert deleted["deleted_at"] is not None
    assert insist(client.simulate_get("/jobs"), 200)["jobs"] == []
    assert len(insist(client.simulate_get("/jobs", params={"deleted": "true"}), 200)["jobs"]) == 1
    restored = insist(client.simulate_post(f"{path}/restore"), 200)
    assert (restored["deleted_at"], restored["state"]) == (None, "cancelled")


@pytest.mark.parametrize("verb", ["requeue", "release", "restore"])
def test_a_verb_without_arguments_takes_none(fleet: Fleet, client: TestClient, verb: str) -> None:
    """A field that a verb does not have is refused, not ignored."""
    answer = client.simulate_post(f"/jobs/{fleet.submit()['id']}/{verb}", json={"reason": "x"})
    assert pointers(problem(answer, 422, "invalid-command")) == ["/reason"]


def test_history_tells_what_became_of_a_job(fleet: Fleet, client: TestClient) -> None:
    """One event a version, oldest first, page by page, with who did it and under which request."""
    job = fleet.submit()
    for verb in ("hold", "release", "cancel"):
        client.simulate_post(f"/jobs/{job['id']}/{verb}", headers={"X-Request-Id": f"r-{verb}"})
    path = f"/jobs/{job['id']}/history"
    first = insist(client.simulate_get(path, params={"limit": 3}), 200)
    rest = insist(client.simulate_get(path, params={"limit": 3, "cursor": first["next_cursor"]}), 200)
    events = first["events"] + rest["events"]
    assert rest["next_cursor"] is None
    assert [event["version"] for event in events] == [1, 2, 3, 4]
    assert [event["request_id"] for event in events[1:]] == ["r-hold", "r-release", "r-cancel"]
    assert {event["actor"] for event in events} == {"anonymous-loopback"}
    problem(client.simulate_get(path, params={"cursor": "1"}), 400, "invalid-parameter")


@pytest.mark.checklist(43)
def test_attempts_are_listed_and_shown(fleet: Fleet, client: TestClient) -> None:
    """Location of a claim leads to the attempt; a number that was not granted leads nowhere."""
    lease = fleet.running()
    path = f"/jobs/{lease['job_id']}/attempts"
    attempts = insist(client.simulate_get(path), 200)["attempts"]
    assert attempts == [insist(client.simulate_get(f"{path}/1"), 200)]
    for number in ("2", "0", "-1", "x", "1.0", "999999999999"):
        problem(client.simulate_get(f"{path}/{number}"), 404, "unknown-attempt")


def test_explain_answers_for_every_engine_or_one(fleet: Fleet, client: TestClient) -> None:
    """Why a job waits: a verdict in one word and the reasons of each engine."""
    job = fleet.submit(requirements=["encoder has libsvtav1"])
    fleet.register("engine-1")
    fleet.register("engine-2")
    whole = insist(client.simulate_get(f"/jobs/{job['id']}/explain"), 200)
    assert [answer["engine_id"] for answer in whole["engines"]] == ["engine-1", "engine-2"]
    assert whole["verdict"] == "never"
    one = insist(client.simulate_get(f"/jobs/{job['id']}/explain", params={"engine_id": "engine-2"}), 200)
    assert [answer["engine_id"] for answer in one["engines"]] == ["engine-2"]
    answer = client.simulate_get(f"/jobs/{job['id']}/explain", params={"engine_id": "engine-9"})
    problem(answer, 404, "unknown-engine")


def test_a_job_with_a_time_limit_in_the_queue_fails_when_time_has_passed(
    fleet: Fleet, client: TestClient, clock: ManualClock
) -> None:
    """What tick decides is what the next answer shows."""
    job = fleet.submit(timeouts={"queue_s": 10})
    assert job["next_timer_at"] is not None
    clock.advance(11)
    assert fleet.job(job["id"])["state"] == "pending", "until tick has fired a timer, the older state holds"


def test_too_few_retries_are_pointed_at_where_they_were_written(client: TestClient, fleet: Fleet) -> None:
    """``max_retries`` and ``retry.max_attempts`` say the same; the refusal names the one that was used."""
    lease = fleet.running(retry={"first_delay_s": 1000})
    fleet.report(lease, "failed")
    for edit, pointer in (
        ({"max_retries": 0}, "/max_retries"),
        ({"retry": {"max_attempts": 1}}, "/retry/max_attempts"),
    ):
        answer = client.simulate_patch(f"/jobs/{lease['job_id']}", json=edit)
        assert pointers(problem(answer, 422, "invalid-command")) == [pointer]


def test_pointers_escape_what_would_be_another_path(client: TestClient) -> None:
    """RFC 6901: ``~`` is ``~0`` and ``/`` is ``~1`` in every step that the caller named."""
    answer = client.simulate_post("/jobs", json={"parameters": PARAMETERS, "a/b~c": 1})
    assert pointers(problem(answer, 422, "invalid-command")) == ["/a~1b~0c"]
    profile = {"facts": {"x/y~z": {"deep": 1}}}
    answer = client.simulate_put("/engines/e1", json={"session": "s", "profile": profile})
    assert pointers(problem(answer, 422, "invalid-command")) == ["/profile/facts/x~1y~0z"]


def test_account_and_deadline_are_written_edited_and_read(fleet: Fleet, client: TestClient) -> None:
    """Both stand in the form as they were said; an edit of one half of a deadline leaves the other."""
    job = fleet.submit(account="studio", deadline={"at": "2040-01-01T00:00:00+01:00", "hard": True})
    at = "2039-12-31T23:00:00.000000Z"
    assert (job["account"], job["deadline"]) == ("studio", {"at": at, "hard": True})
    assert job["deadline_missed"] is None
    path = f"/jobs/{job['id']}"
    edited = insist(client.simulate_patch(path, json={"deadline": {"hard": False}, "account": None}), 200)
    assert (edited["account"], edited["deadline"]) == (None, {"at": at, "hard": False})
    gone = insist(client.simulate_patch(path, json={"deadline": None}), 200)
    assert gone["deadline"] is None
    refused = problem(client.simulate_patch(path, json={"deadline": {"hard": True}}), 422, "invalid-command")
    assert pointers(refused) == ["/deadline/at"]


@pytest.mark.parametrize("late", [False, True])
def test_a_job_that_ended_says_whether_its_deadline_was_missed(
    fleet: Fleet, clock: ManualClock, late: bool
) -> None:
    """It is known when the job has ended, not before: what ends at the deadline is in time."""
    at = (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=clock.now_us() + 20_000_000)).isoformat()
    lease = fleet.running(deadline={"at": at})
    clock.advance(20.0 + late)
    assert fleet.job(lease["job_id"])["deadline_missed"] is None
    insist(fleet.report(lease), 200)
    assert fleet.job(lease["job_id"])["deadline_missed"] is late


def test_attempts_say_how_long_they_should_have_taken_and_took(
    fleet: Fleet, client: TestClient, clock: ManualClock
) -> None:
    """Half a second per media second is the guess for a transcode; what it took is known when it has ended."""
    lease = fleet.running(size={"duration_s": 60})
    path = f"/jobs/{lease['job_id']}/attempts/1"
    running = insist(client.simulate_get(path), 200)
    assert (running["estimate_s"], running["took_s"]) == (30.0, None)
    clock.advance(21.5)
    insist(fleet.report(lease), 200)
    assert insist(client.simulate_get(path), 200)["took_s"] == 21.5
