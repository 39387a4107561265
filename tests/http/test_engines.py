"""Engines over HTTP: registration, heartbeats, and what operators want of them."""

import pytest
from falcon.testing import TestClient

from dispatch_core import ManualClock
from tests.http.fleet import PROFILE, SESSION, Fleet, insist, pointers, problem


def test_registration_answers_the_engine(client: TestClient) -> None:
    """201 the first time, 200 when it comes back; Location and entity tag as for jobs."""
    body = {"session": "one", "profile": PROFILE}
    first = client.simulate_put("/engines/engine-1", json=body)
    engine = insist(first, 201)
    assert (first.headers["Location"], first.headers["ETag"]) == ("/engines/engine-1", '"1"')
    assert (engine["id"], engine["seen"], engine["slots"], engine["session"]) == (
        "engine-1",
        "live",
        2,
        "one",
    )
    assert engine["facts"]["codec"] == ["h264"]
    again = insist(client.simulate_put("/engines/engine-1", json={**body, "session": "two"}), 200)
    assert (again["session"], again["version"] > 1) == ("two", True)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "/session"),
        ({"session": ""}, "/session"),
        ({"session": 5}, "/session"),
        ({"session": "s", "profile": {"slots": 0}}, "/profile/slots"),
        ({"session": "s", "profile": {"slots": 1.5}}, "/profile/slots"),
        ({"session": "s", "profile": {"facts": {"codec": {"a": 1}}}}, "/profile/facts/codec"),
        (
            {"session": "s", "profile": {"benchmarks": [{"task_class": "a"}]}},
            "/profile/benchmarks/0/units_per_s",
        ),
        ({"session": "s", "tenant": "other"}, "/tenant"),
    ],
)
def test_an_unfit_registration_is_pointed_at(client: TestClient, body: dict[str, object], where: str) -> None:
    """422 with the pointer of the field, however deep it is."""
    answer = client.simulate_put("/engines/engine-1", json=body)
    assert where in pointers(problem(answer, 422, "invalid-command"))


@pytest.mark.checklist(35)
def test_a_heartbeat_renews_and_tells_everything(fleet: Fleet, client: TestClient) -> None:
    """Named leases are answered one by one; those not named, cancels and the wanted state come along."""
    lease = fleet.running()
    fleet.submit()
    unnamed = fleet.claim()
    client.simulate_post(f"/jobs/{lease['job_id']}/cancel")
    client.simulate_post("/engines/engine-1/drain", json={"reason": "new disk"})
    body = {
        "session": SESSION,
        "leases": [{"job_id": lease["job_id"], "token": lease["token"]}, {"job_id": "job-x", "token": "t.1"}],
        "disk_free_bytes": 10**12,
        "load": 0.5,
    }
    heard = insist(client.simulate_post("/engines/engine-1/heartbeat", json=body), 200)
    assert [(each["cancel"], each["lost"]) for each in heard["leases"]] == [(True, False), (False, True)]
    assert [each["job_id"] for each in heard["unnamed"]] == [unnamed["job_id"]]
    assert heard["wanted"] == {"state": "draining", "reason": "new disk", "actor": "anonymous-loopback"}
    assert heard["next_s"] > 0
    shown = insist(client.simulate_get("/engines/engine-1"), 200)
    assert (shown["disk_free_bytes"], shown["load"], len(shown["attempts"])) == (10**12, 0.5, 2)


def test_a_heartbeat_of_an_older_start_is_refused(fleet: Fleet, client: TestClient) -> None:
    """409: this process must stop."""
    fleet.register()
    answer = client.simulate_post("/engines/engine-1/heartbeat", json={"session": "older"})
    problem(answer, 409, "session-replaced")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"session": SESSION, "leases": {}}, "/leases"),
        ({"session": SESSION, "leases": [{"job_id": "a"}]}, "/leases/0/token"),
        ({"session": SESSION, "leases": [{"job_id": 1, "token": "t"}]}, "/leases/0/job_id"),
        ({"session": SESSION, "disk_free_bytes": -1}, "/disk_free_bytes"),
        ({"session": SESSION, "load": "high"}, "/load"),
        ({"session": SESSION, "lease": []}, "/lease"),
    ],
)
def test_an_unfit_heartbeat_is_pointed_at(
    fleet: Fleet, client: TestClient, body: dict[str, object], where: str
) -> None:
    """422 with the pointer of the field."""
    fleet.register()
    answer = client.simulate_post("/engines/engine-1/heartbeat", json=body)
    assert where in pointers(problem(answer, 422, "invalid-command"))


def test_operators_move_an_engine_through_its_wanted_states(fleet: Fleet, client: TestClient) -> None:
    """cordon and drain keep their reason, resume ends both."""
    fleet.register()
    for verb, state in (("cordon", "cordoned"), ("drain", "draining")):
        engine = insist(client.simulate_post(f"/engines/engine-1/{verb}", json={"reason": "why"}), 200)
        assert (engine["wanted"]["state"], engine["wanted"]["reason"]) == (state, "why")
    engine = insist(client.simulate_post("/engines/engine-1/resume"), 200)
    assert engine["wanted"]["state"] == "active"
    assert engine["last_seen_at"] is not None


def test_a_cordoned_engine_gets_no_work(fleet: Fleet, client: TestClient) -> None:
    """A claim of a cordoned engine finds nothing."""
    fleet.submit()
    fleet.register()
    client.simulate_post("/engines/engine-1/cordon")
    params = {"engine_id": "engine-1", "session": SESSION}
    assert client.simulate_post("/queue/next_job", params=params).status_code == 204


@pytest.mark.checklist(84)
def test_benchmarks_replace_cells(fleet: Fleet, client: TestClient) -> None:
    """A cell replaces that of the same task class; a body without cells is refused."""
    fleet.register()
    for speed in (2.0, 3.0):
        cell = {"task_class": "h264/1080p/encode", "units_per_s": speed, "tool": "ffmpeg 7.1"}
        engine = insist(
            client.simulate_post("/engines/engine-1/benchmarks", json={"benchmarks": [cell]}), 200
        )
        assert engine["benchmarks"] == [cell]
    answer = client.simulate_post("/engines/engine-1/benchmarks", json={"benchmarks": []})
    assert pointers(problem(answer, 422, "invalid-command")) == ["/benchmarks"]


@pytest.mark.checklist(24)
def test_an_engine_that_left_is_shown_only_if_asked_for(fleet: Fleet, client: TestClient) -> None:
    """DELETE deregisters: the engine leaves the list, its record stays."""
    fleet.register("engine-1")
    fleet.register("engine-2")
    assert insist(client.simulate_delete("/engines/engine-1"), 200)["seen"] == "left"

    def ids(**params: str) -> list[str]:
        return [each["id"] for each in insist(client.simulate_get("/engines", params=params), 200)["engines"]]

    assert ids() == ["engine-2"]
    assert ids(left="true") == ["engine-1", "engine-2"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cordon"),
        ("POST", "/drain"),
        ("POST", "/resume"),
        ("POST", "/benchmarks"),
        ("POST", "/heartbeat"),
    ],
)
def test_an_unknown_engine_is_404(client: TestClient, method: str, path: str) -> None:
    """Whatever is asked of it."""
    body = {
        "/benchmarks": {"benchmarks": [{"task_class": "h264/1080p/encode", "units_per_s": 1}]},
        "/heartbeat": {"session": "s"},
    }
    answer = client.simulate_request(method, f"/engines/nobody{path}", json=body.get(path, {}))
    problem(answer, 404, "unknown-engine")


@pytest.mark.checklist(42)
def test_the_performance_of_an_engine_is_told(fleet: Fleet, client: TestClient, clock: ManualClock) -> None:
    """By task class, once something was completed."""
    lease = fleet.running(size={"duration_s": 60})
    path = "/engines/engine-1/performance"
    assert insist(client.simulate_get(path), 200) == {"engine_id": "engine-1", "task_classes": []}
    clock.advance(30)
    insist(fleet.report(lease), 200)
    (cell,) = insist(client.simulate_get(path), 200)["task_classes"]
    assert cell == {
        "task_class": "h264/1080p/encode", "count": 1, "units_per_s_p50": 2.0, "units_per_s_p90": 2.0,
        "estimate_off_p50": 1.0, "estimate_off_p90": 1.0,
    }  # fmt: skip
    problem(client.simulate_get("/engines/nobody/performance"), 404, "unknown-engine")


def test_estimates_are_told_of_one_engine_and_of_all(
    fleet: Fleet, client: TestClient, clock: ManualClock
) -> None:
    """By engine and task class: 60 media seconds in 30 s are half a second each, as the kind's guess is."""
    lease = fleet.running(size={"duration_s": 60})
    clock.advance(30)
    insist(fleet.report(lease), 200)
    form = insist(client.simulate_get("/estimates"), 200)
    (rate,) = form["estimates"]
    assert (rate["engine_id"], rate["task_class"]) == ("engine-1", "h264/1080p/encode")
    assert (rate["s_per_unit_p50"], rate["samples"], rate["benchmarked"]) == (pytest.approx(0.5), 1.0, False)
    assert rate["s_per_unit_p90"] > 0.5
    assert insist(client.simulate_get("/engines/engine-1/estimates"), 200) == form
    problem(client.simulate_get("/engines/nobody/estimates"), 404, "unknown-engine")
