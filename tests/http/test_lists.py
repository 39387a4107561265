"""Lists of jobs and engines: filters, order, fields; exports; short ids; verbs for many."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from falcon.testing import TestClient

from dispatch_core import Dispatcher, JobKind, JobSpec, ManualClock, Settings
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import DispatchApp, create_app
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings
from tests.http.fleet import SESSION, Fleet, insist, pointers, problem

LINES = "application/x-ndjson"


def ids(client: TestClient, path: str = "/jobs", **params: object) -> list[str]:
    """The jobs of a page."""
    return [job["id"] for job in insist(client.simulate_get(path, params=params), 200)["jobs"]]


def lines(client: TestClient, path: str, **params: object) -> list[dict[str, Any]]:
    """The forms of an export."""
    answer = client.simulate_get(path, params=params, headers={"Accept": LINES})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, LINES), answer.text
    return [json.loads(line) for line in answer.text.split("\n") if line]


@pytest.mark.checklist(45)
def test_a_list_is_by_age_unless_told_otherwise(fleet: Fleet, client: TestClient, clock: ManualClock) -> None:
    """Oldest submit first, however they differ in priority."""
    made = []
    for priority in (0, 50, -50):
        made.append(fleet.submit(priority=priority)["id"])
        clock.advance(1)
    assert ids(client) == made
    assert ids(client, sort="-created_at") == made[::-1]
    assert ids(client, sort="-priority") == [made[1], made[0], made[2]]


@pytest.mark.checklist(46)
def test_a_list_is_filtered_by_time_and_tenant(fleet: Fleet, client: TestClient, clock: ManualClock) -> None:
    """Since is in, until is out; another tenant's jobs are not there to be found."""
    jobs = []
    for _ in range(3):
        jobs.append(fleet.submit())
        clock.advance(10)
    (first, second, third) = (job["id"] for job in jobs)
    middle = jobs[1]["created_at"]
    assert ids(client, created_since=middle) == [second, third]
    assert ids(client, created_until=middle) == [first]
    assert ids(client, created_since=middle, created_until=jobs[2]["created_at"]) == [second]
    client.simulate_post(f"/jobs/{first}/hold")
    assert ids(client, updated_since=jobs[2]["created_at"]) == [first, third]
    assert ids(client, tenant="default") == [first, second, third]
    charged = fleet.submit(account="studio")["id"]
    assert ids(client, account="studio") == ids(client, account=["studio", "other"]) == [charged]
    assert ids(client, account="other") == []
    together = fleet.submit(campaign="Weihnachten 2030 – \u00e9t\u00e9")["id"]
    assert ids(client, campaign="Weihnachten 2030 – \u00e9t\u00e9", state="pending") == [together]
    assert ids(client, campaign=["other", "Weihnachten 2030 – \u00e9t\u00e9"]) == [together]
    assert ids(client, campaign="Weihnachten") == []
    assert ids(client, tenant="other") == []
    for unfit in ("soon", "2030-01-01T00:00:00", "1960-01-01T00:00:00Z"):
        form = problem(
            client.simulate_get("/jobs", params={"created_since": unfit}), 400, "invalid-parameter"
        )
        assert form["errors"][0]["parameter"] == "created_since"


@pytest.mark.checklist(26)
def test_the_jobs_of_an_engine_are_a_filtered_list(fleet: Fleet, client: TestClient) -> None:
    """One code path: the same pages, fields and filters, for one engine; an engine that is not there is unknown."""
    lease = fleet.running()
    fleet.submit()
    fleet.register("engine-2")
    path = "/engines/engine-1/jobs"
    assert ids(client, path) == ids(client, engine="engine-1") == [lease["job_id"]]
    assert ids(client, path, state="completed") == []
    assert ids(client, "/engines/engine-2/jobs") == []
    problem(client.simulate_get("/engines/nobody/jobs"), 404, "unknown-engine")
    problem(client.simulate_get(path, params={"engine": "engine-2"}), 400, "invalid-parameter")


@pytest.mark.checklist(38)
def test_engines_are_sorted(fleet: Fleet, client: TestClient, clock: ManualClock) -> None:
    """By host name or last sign of life, both ways, equals by id."""
    for engine_id, host in (("c", "alpha"), ("a", "beta"), ("b", "alpha")):
        fleet.register(engine_id, facts={"hostname": host})
        clock.advance(1)

    def order(**params: object) -> str:
        page = insist(client.simulate_get("/engines", params=params), 200)
        return "".join(engine["id"] for engine in page["engines"])

    assert order() == "abc"
    assert order(sort="hostname") == "bca"
    assert order(sort="-hostname") == "abc"
    assert order(sort="-last_seen") == "bac"
    problem(client.simulate_get("/engines", params={"sort": "load"}), 400, "invalid-parameter")


@pytest.mark.checklist(91)
def test_fields_are_what_was_asked_for(fleet: Fleet, client: TestClient) -> None:
    """Lists and single records of jobs and engines answer these fields only, with the same entity tag."""
    job = fleet.submit()
    fleet.register()
    page = insist(client.simulate_get("/jobs", params={"fields": "id,state"}), 200)
    assert page == {"jobs": [{"id": job["id"], "state": "pending"}], "next_cursor": None}
    answer = client.simulate_get(f"/jobs/{job['id']}", params={"fields": "priority"})
    assert (answer.json, answer.headers["ETag"]) == ({"priority": 0}, '"1"')
    engines = insist(client.simulate_get("/engines", params={"fields": "id,slots"}), 200)
    assert engines == {"engines": [{"id": "engine-1", "slots": 2}]}
    one = insist(client.simulate_get("/engines/engine-1", params={"fields": "seen"}), 200)
    assert one == {"seen": "live"}


@pytest.mark.checklist(91)
@pytest.mark.parametrize(
    ("path", "named", "words"),
    [
        ("/jobs", "id,priorty", "did you mean 'priority'?"),
        ("/jobs/job-1", "stat", "did you mean 'state'?"),
        ("/engines", "hostnam", "known: "),
        ("/engines/engine-1", "slot", "did you mean 'slots'?"),
        ("/jobs/export", "id,,state", "is not a field"),
    ],
)
def test_a_field_that_is_none_is_refused_with_a_hint(
    client: TestClient, path: str, named: str, words: str
) -> None:
    """400 names the parameter and what may have been meant."""
    form = problem(client.simulate_get(path, params={"fields": named}), 400, "invalid-parameter")
    assert form["errors"][0]["parameter"] == "fields"
    assert words in form["detail"]


# ----- exports


@pytest.mark.checklist(89)
def test_jobs_are_exported_a_line_each(fleet: Fleet, client: TestClient) -> None:
    """Every job once, as the single job is shown; filtered and cut to fields like a list."""
    made = [fleet.submit(note="nö\n\u2028") for _ in range(3)]
    client.simulate_post(f"/jobs/{made[0]['id']}/cancel")
    found = lines(client, "/jobs/export")
    assert sorted(job["id"] for job in found) == sorted(job["id"] for job in made)
    assert fleet.job(made[1]["id"]) in found
    assert lines(client, "/jobs/export", state="cancelled", fields="id") == [{"id": made[0]["id"]}]
    assert lines(client, "/jobs/export", state="completed") == []


@pytest.mark.checklist(89)
def test_events_are_exported_from_where_one_stopped(fleet: Fleet, client: TestClient) -> None:
    """All events in their order; with the cursor of one, those behind it."""
    job = fleet.submit()
    for verb in ("hold", "release", "cancel"):
        client.simulate_post(f"/jobs/{job['id']}/{verb}")
    rows = lines(client, "/history/export")
    assert [row["event"] for row in rows] == ["job-submitted", "job-held", "hold-released", "job-cancelled"]
    assert lines(client, "/history/export", cursor=rows[1]["cursor"]) == rows[2:]


def test_an_export_is_lines_or_nothing(client: TestClient) -> None:
    """406 for a caller who takes another type only; what fails before the first line is a problem."""
    assert client.simulate_get("/jobs/export", headers={"Accept": "text/csv"}).status_code == 406
    problem(client.simulate_get("/jobs/export", params={"limit": 3}), 400, "invalid-parameter")
    problem(client.simulate_get("/history/export", params={"cursor": "x"}), 400, "invalid-parameter")


@pytest.fixture
def big_server() -> Iterator[tuple[Server, DispatchApp, Dispatcher]]:
    """A server of 3,000 jobs: more lines than all the buffers on the way hold."""
    settings = HttpSettings(port=0, threads=4, drain_grace_s=2.0)
    with Dispatcher(MemoryStorage(), kinds=[JobKind(name="blob")]) as dispatcher:
        spec = JobSpec(kind="blob", parameters={"text": "n" * 12_000})
        for _ in range(3):
            dispatcher.submit_many([spec] * 1_000)
        app = create_app(dispatcher, settings)
        with Server(app, dispatcher, settings) as server:
            yield server, app, dispatcher


def connected(server: Server) -> socket.socket:
    """A connection that has asked for the export."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(f"GET /jobs/export HTTP/1.1\r\nHost: localhost\r\nAccept: {LINES}\r\n\r\n".encode())
    return connection


@pytest.mark.checklist(89)
def test_an_export_is_sent_in_chunks(big_server: tuple[Server, DispatchApp, Dispatcher]) -> None:
    """Without a length, in chunks that end with the empty one; every job is in it."""
    server, _, dispatcher = big_server
    with connected(server) as connection, connection.makefile("rb") as answer:
        head = b"".join(iter(answer.readline, b"\r\n"))
        assert b"Transfer-Encoding: chunked" in head
        assert b"Content-Length" not in head
        body, sizes = bytearray(), []
        while size := int(answer.readline(), 16):
            body += answer.read(size)
            assert answer.readline() == b"\r\n"
            sizes.append(size)
    assert len(sizes) > 10
    assert max(sizes) < 200_000
    assert len({json.loads(line)["id"] for line in body.splitlines()}) == dispatcher.stats().accepted == 3_000


@pytest.mark.checklist(89)
def test_an_export_ends_when_its_reader_leaves(big_server: tuple[Server, DispatchApp, Dispatcher]) -> None:
    """The server stops reading jobs, and the place inside the gate is free again."""
    server, app, _ = big_server
    with connected(server) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert app.gate.await_nobody(time.monotonic() + 20)


@pytest.mark.checklist(89)
def test_an_export_that_fails_on_the_way_is_cut_off(
    big_server: tuple[Server, DispatchApp, Dispatcher],
) -> None:
    """The last, empty chunk never comes: no reader takes what it got for everything."""
    server, app, dispatcher = big_server
    with connected(server) as connection:
        start = connection.recv(100_000)
        dispatcher.storage.close()
        body = start + b"".join(iter(lambda: connection.recv(1_000_000), b""))
    assert body.startswith(b"HTTP/1.1 200")
    assert not body.endswith(b"\r\n0\r\n\r\n")
    assert app.gate.await_nobody(time.monotonic() + 20)


# ----- short ids


@pytest.mark.checklist(93)
def test_the_beginning_of_an_id_leads_to_the_job(fleet: Fleet, client: TestClient) -> None:
    """Wherever an id stands in a path: reading, changing, verbs, what is below a job."""
    job = fleet.submit()
    for text in (job["id"][:8], job["id"][4:8], job["id"][4:20]):
        assert fleet.job(text) == job
        for below in ("history", "attempts", "explain"):
            assert client.simulate_get(f"/jobs/{text}/{below}").status_code == 200
    short = job["id"][4:10]
    assert insist(client.simulate_patch(f"/jobs/{short}", json={"priority": 3}), 200)["id"] == job["id"]
    for verb in ("hold", "release", "cancel", "requeue"):
        assert insist(client.simulate_post(f"/jobs/{short}/{verb}"), 200)["id"] == job["id"]
    assert insist(client.simulate_delete(f"/jobs/{short}"), 200)["deleted_at"]
    assert insist(client.simulate_post(f"/jobs/{short}/restore"), 200)["deleted_at"] is None
    problem(client.simulate_get("/jobs/zzzz"), 404, "unknown-job")
    problem(client.simulate_get(f"/jobs/{job['id'][:7]}"), 404, "unknown-job")


class Alike:
    """Ids that begin alike."""

    made = 0

    def new(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}-aaaa{self.made}" + "0" * 21


@pytest.mark.checklist(93)
def test_an_ambiguous_id_is_refused_and_names_candidates() -> None:
    """409 with up to five of the ids it may mean."""
    with Dispatcher(MemoryStorage(), ids=Alike()) as dispatcher:
        client = TestClient(create_app(dispatcher), headers={"Host": "localhost"})
        made = [Fleet(client).submit()["id"] for _ in range(7)]
        detail = problem(client.simulate_get("/jobs/aaaa"), 409, "ambiguous-id")["detail"]
        assert [each for each in made if each in detail] == made[:5]
        assert insist(client.simulate_get("/jobs/aaaa3"), 200)["id"] == made[2]


# ----- many


@pytest.mark.checklist(94)
def test_failed_jobs_are_requeued_by_a_filter(fleet: Fleet, client: TestClient) -> None:
    """A dry run counts; the count confirms; the work goes on where a bounded call stopped."""
    fleet.register(slots=9)
    made = [fleet.submit()["id"] for _ in range(5)]
    for _ in made:
        fleet.report(fleet.claim(), "failed", error={"failure_class": "input", "retryable": False})
    wish = {"filter": {"state": "failed_permanently"}}

    def requeue(**more: object) -> dict[str, Any]:
        return insist(client.simulate_post("/jobs:requeue", json={**wish, **more}), 200)

    dry = requeue(dry_run=True)
    assert dry == {
        "dry_run": True,
        "count": 5,
        "done": [],
        "refused": [],
        "remaining": 0,
        "next_cursor": None,
    }
    problem(client.simulate_post("/jobs:requeue", json={**wish, "expected": 4}), 409, "count-changed")
    first = requeue(expected=5, limit=3)
    assert (len(first["done"]), first["remaining"]) == (3, 2)
    rest = requeue(expected=2, limit=3, cursor=first["next_cursor"])
    assert rest["next_cursor"] is None
    assert sorted(first["done"] + rest["done"]) == sorted(made)
    job = fleet.job(made[0])
    assert (job["state"], job["generation"]) == ("pending", 2)
    rows = insist(client.simulate_get(f"/jobs/{made[0]}/history"), 200)["events"]
    assert (rows[-1]["event"], rows[-1]["actor"]) == ("job-requeued", "anonymous-loopback")


def test_jobs_are_cancelled_by_a_filter(fleet: Fleet, client: TestClient) -> None:
    """With a reason; running ones are asked."""
    lease = fleet.running()
    waiting = fleet.submit()["id"]
    wish = {"filter": {"state": ["pending", "assigned"], "kind": "transcode"}, "reason": "wrong preset"}
    answer = insist(client.simulate_post("/jobs:cancel", json={**wish, "expected": 2}), 200)
    assert sorted(answer["done"]) == sorted([lease["job_id"], waiting])
    assert fleet.job(waiting)["state"] == "cancelled"
    asked = fleet.job(lease["job_id"])
    assert (asked["cancel_requested"], asked["cancel_reason"]) == (True, "wrong preset")


@pytest.mark.checklist(94)
def test_many_repeated_under_one_key_get_the_first_answer(fleet: Fleet, client: TestClient) -> None:
    """Whoever lost the answer asks again, with the same key and the same count, and is told what was done."""
    made = [fleet.submit()["id"] for _ in range(3)]
    body = {"filter": {"state": "pending"}, "expected": 3, "limit": 2}
    headers = {"Idempotency-Key": "again"}
    first, second = (client.simulate_post("/jobs:cancel", json=body, headers=headers) for _ in range(2))
    done = insist(first, 200)["done"]
    assert len(done) == 2
    assert set(done) < set(made)
    assert second.json == first.json
    other = client.simulate_post("/jobs:cancel", json={**body, "limit": 1}, headers=headers)
    problem(other, 422, "idempotency-key-reused")
    problem(client.simulate_post("/jobs:cancel", json=body), 409, "count-changed")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "/filter"),
        ({"filter": {}}, "/filter/state"),
        ({"filter": {"state": "done"}}, "/filter/state/0"),
        ({"filter": {"state": "completed", "created_since": "x"}}, "/filter/created_since"),
        ({"filter": {"state": "completed", "colour": "red"}}, "/filter/colour"),
        ({"filter": {"state": "completed"}}, "/expected"),
        ({"filter": {"state": "completed"}, "dry_run": "yes"}, "/dry_run"),
        ({"filter": {"state": "completed"}, "expected": 1, "limit": 1_001}, "/limit"),
        ({"filter": {"state": "completed"}, "expected": 1, "cursor": "x"}, "/cursor"),
        ({"filter": {"state": "completed"}, "reason": "x"}, "/reason"),
    ],
)
def test_an_unfit_wish_for_many_is_pointed_at(client: TestClient, body: dict[str, Any], where: str) -> None:
    """422: nothing is done to anybody by a request that is not understood."""
    assert pointers(problem(client.simulate_post("/jobs:requeue", json=body), 422, "invalid-command")) == [
        where
    ]


# ----- caps, claims


@pytest.mark.checklist(58)
def test_the_answer_says_when_attempts_were_capped() -> None:
    """In the answer to the submit, in the list, in the lease: what was asked and what counts."""
    with Dispatcher(MemoryStorage(), settings=Settings(attempts_cap=2)) as dispatcher:
        client = TestClient(create_app(dispatcher), headers={"Host": "localhost"})
        fleet = Fleet(client)
        submitted = fleet.submit(max_retries=8)
        listed = insist(client.simulate_get("/jobs"), 200)["jobs"][0]
        fleet.register()
        for job in (submitted, listed, fleet.claim()["job"]):
            assert (job["retry"]["max_attempts"], job["max_attempts_effective"]) == (9, 2)
        assert fleet.submit(max_retries=0)["max_attempts_effective"] == 1


@pytest.mark.checklist(87)
def test_a_claim_takes_its_parameters_from_the_query(fleet: Fleet, client: TestClient) -> None:
    """engine_id, session, wait and limit; no body. With a limit there are as many leases as there are slots."""
    fleet.register()
    for _ in range(3):
        fleet.submit()
    params: dict[str, object] = {"engine_id": "engine-1", "session": "first-start", "wait": 0, "limit": 3}
    answer = insist(client.simulate_post("/queue/next_job", params=params), 201)
    assert len(answer["leases"]) == 2
    assert client.simulate_post("/queue/next_job", params=params).status_code == 204
    for limit in (0, 101, "x"):
        answer_ = client.simulate_post("/queue/next_job", params={**params, "limit": limit})
        problem(answer_, 400, "invalid-parameter")


@pytest.mark.checklist(43)
@pytest.mark.checklist(73)
def test_every_engine_of_a_job_keeps_its_error(
    fleet: Fleet, client: TestClient, clock: ManualClock, dispatcher: Dispatcher
) -> None:
    """All attempts stay: which engine, how it ended, why, and what it used; a later one overwrites none."""
    job_id = fleet.submit(retry={"max_attempts": 3, "first_delay_s": 0})["id"]
    for number, engine_id in enumerate(("engine-1", "engine-2"), 1):
        fleet.register(engine_id)
        lease = fleet.claim(engine_id)
        fleet.report(lease, "failed", error={"message": f"trouble {number}"}, usage={"cpu_s": number})
        client.simulate_delete(f"/engines/{engine_id}")
        clock.advance(60)
        dispatcher.tick()
    fleet.register("engine-3")
    fleet.report(fleet.claim("engine-3"), "completed", result={"ok": True})
    attempts = insist(client.simulate_get(f"/jobs/{job_id}/attempts"), 200)["attempts"]
    told = [
        (each["engine_id"], each["outcome"], each["error"] and each["error"]["message"], each["usage"])
        for each in attempts
    ]
    assert told == [
        ("engine-1", "failed", "trouble 1", {"cpu_s": 1}),
        ("engine-2", "failed", "trouble 2", {"cpu_s": 2}),
        ("engine-3", "completed", None, None),
    ]


@pytest.mark.checklist(91)
def test_every_list_can_be_cut_to_some_fields(fleet: Fleet, client: TestClient) -> None:
    """Keys, pools, windows, attempts and events, too; a name that is none is refused with a hint."""
    lease = fleet.running()
    job_id = lease["job_id"]
    insist(client.simulate_post("/pools", json={"id": "nas", "capacity_bytes": 5}), 201)
    ends_at = "2030-01-01T01:00:00Z"
    insist(client.simulate_post("/windows", json={"engine_id": None, "ends_at": ends_at, "reason": "r"}), 201)
    for path, name, fields, rows in (
        ("/pools", "pools", "id,capacity_bytes", [{"id": "nas", "capacity_bytes": 5}]),
        ("/windows", "windows", "reason", [{"reason": "r"}]),
        (
            f"/jobs/{job_id}/attempts",
            "attempts",
            "attempt,engine_id",
            [{"attempt": 1, "engine_id": "engine-1"}],
        ),
        (
            f"/jobs/{job_id}/history",
            "events",
            "event",
            [{"event": "job-submitted"}, {"event": "job-granted"}],
        ),
        ("/keys", "keys", "name", []),
    ):
        assert insist(client.simulate_get(path, params={"fields": fields}), 200)[name] == rows
        form = problem(client.simulate_get(path, params={"fields": fields + "x"}), 400, "invalid-parameter")
        assert form["errors"][0]["parameter"] == "fields"
    page = insist(client.simulate_get(f"/jobs/{job_id}/history", params={"fields": "event", "limit": 1}), 200)
    (rest,) = insist(
        client.simulate_get(
            f"/jobs/{job_id}/history", params={"fields": "event", "cursor": page["next_cursor"]}
        ),
        200,
    )["events"]
    assert rest == {"event": "job-granted"}
    assert lines(client, "/history/export", fields="event")[0] == {"event": "job-submitted"}


@pytest.mark.checklist(46)
def test_filters_are_combined(fleet: Fleet, client: TestClient, clock: ManualClock) -> None:
    """A job must fit every filter that is given, and any of the values of one."""
    first, second = fleet.submit()["id"], fleet.submit(hold=True)["id"]
    clock.advance(10)
    third = fleet.submit()["id"]
    for job_id in (second, third):
        insist(client.simulate_post(f"/jobs/{job_id}/cancel", json={}), 200)
    assert sorted(ids(client, state="pending,cancelled", created_until="2030-01-01T00:00:05Z")) == sorted(
        [first, second]
    )
    assert ids(client, state="cancelled", created_until="2030-01-01T00:00:05Z") == [second]
    assert ids(
        client, state="cancelled", updated_since="2030-01-01T00:00:05Z", kind="transcode", sort="-created_at"
    ) == [third, second]
    assert ids(client, state="cancelled", engine="engine-1") == []


@pytest.mark.checklist(39)
def test_versions_and_features_of_ffmpeg_decide_who_gets_a_job(fleet: Fleet, client: TestClient) -> None:
    """What an engine's ffmpeg is and can do are facts; a job's requirements are judged by them, and explained."""
    fleet.register("old", facts={"codec": ["h264"], "encoder": ["libx264"], "ffmpeg": "5.1.2", "hwaccel": []})
    fleet.register(
        "new", facts={"codec": ["h264"], "encoder": ["libx265"], "ffmpeg": "6.10", "hwaccel": ["vaapi"]}
    )
    wanted = ["ffmpeg >= 6.2", "encoder has libx265", "hwaccel has vaapi"]
    job_id = fleet.submit(requirements=wanted)["id"]
    params = {"engine_id": "old", "session": SESSION}
    assert client.simulate_post("/queue/next_job", params=params).status_code == 204
    told = insist(client.simulate_get(f"/jobs/{job_id}/explain", params={"engine_id": "old"}), 200)
    assert "6.2" in str(told["engines"][0]["reasons"])
    assert fleet.claim("new")["job_id"] == job_id
