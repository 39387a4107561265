"""What operators see and do by hand: cancels in two phases, pins, engines that leave, jobs that run."""

import pytest
from falcon.testing import TestClient

from dispatch_core import Dispatcher, ManualClock, Settings
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from tests.http.fleet import SESSION, Fleet, insist


def claims(client: TestClient, engine_id: str) -> int:
    """The status of a claim: 201 or 204."""
    params = {"engine_id": engine_id, "session": SESSION}
    return client.simulate_post("/queue/next_job", params=params).status_code


@pytest.mark.checklist(17)
def test_a_higher_priority_is_served_first(fleet: Fleet, client: TestClient, clock: ManualClock) -> None:
    """Priority is said at submit, 0 if it is not; among like jobs the higher one goes first, however young."""
    plain = fleet.submit()
    clock.advance(1)
    urgent = fleet.submit(priority=50)
    assert (plain["priority"], urgent["priority"]) == (0, 50)
    fleet.register()
    assert [fleet.claim()["job_id"] for _ in range(2)] == [urgent["id"], plain["id"]]


@pytest.mark.checklist(17)
def test_the_usual_priority_is_configured() -> None:
    """A submit that names none gets the setting's; 0 is a priority like any other."""
    with Dispatcher(MemoryStorage(), settings=Settings(priority_default=-5)) as dispatcher:
        fleet = Fleet(TestClient(create_app(dispatcher), headers={"Host": "localhost"}))
        told = [
            fleet.submit()["priority"],
            fleet.submit(priority=0)["priority"],
            fleet.submit(priority=7)["priority"],
        ]
        assert told == [-5, 0, 7]


@pytest.mark.checklist(19)
@pytest.mark.checklist(28)
def test_a_running_job_is_cancelled_in_two_phases(fleet: Fleet, client: TestClient) -> None:
    """The engine hears of it with its next report of progress; its answer ends the job, and not before."""
    lease = fleet.running()
    path = f"/jobs/{lease['job_id']}"
    asked = insist(client.simulate_post(f"{path}/cancel", json={"reason": "wrong file"}), 200)
    assert (asked["state"], asked["cancel_requested"]) == ("assigned", True)
    body = {"token": lease["token"], "engine_id": lease["engine_id"], "fraction": 0.5}
    assert insist(client.simulate_put(f"{path}/progress", json=body), 200)["cancel"] is True
    assert fleet.report(lease, "given_back").status_code == 200
    ended = fleet.job(lease["job_id"])
    assert (ended["state"], ended["cancel_reason"]) == ("cancelled", "wrong file")


@pytest.mark.checklist(24)
def test_an_engine_that_leaves_lets_go_of_its_jobs(fleet: Fleet, client: TestClient) -> None:
    """Drained, it gets no more; when it leaves, what it still ran may go to another at once."""
    lease = fleet.running()
    fleet.submit()
    insist(client.simulate_post("/engines/engine-1/drain", json={"reason": "new disks"}), 200)
    assert claims(client, "engine-1") == 204
    assert insist(client.simulate_delete("/engines/engine-1"), 200)["seen"] == "left"
    assert fleet.job(lease["job_id"])["state"] == "pending"
    fleet.register("engine-2")
    assert {fleet.claim("engine-2")["job_id"] for _ in range(2)} >= {lease["job_id"]}


@pytest.mark.checklist(35)
def test_last_seen_is_the_servers_time(fleet: Fleet, client: TestClient, clock: ManualClock) -> None:
    """A heartbeat stamps it in the same call that renews the leases; the engine's own clock is never asked."""
    lease = fleet.running()
    before = insist(client.simulate_get("/engines/engine-1"), 200)["last_seen_at"]
    clock.advance(12)
    held = {"job_id": lease["job_id"], "token": lease["token"]}
    answer = insist(
        client.simulate_post("/engines/engine-1/heartbeat", json={"session": SESSION, "leases": [held]}), 200
    )
    assert answer["leases"][0]["deadline_at"] > lease["deadline_at"]
    engine = insist(client.simulate_get("/engines/engine-1"), 200)
    assert engine["last_seen_at"] > before
    assert engine["last_seen_at"] == fleet.submit()["created_at"]


@pytest.mark.checklist(36)
def test_an_engine_that_is_lost_is_still_on_record(
    fleet: Fleet, client: TestClient, clock: ManualClock
) -> None:
    """Without a sign of life it is silent, then lost; it is never deleted, and comes back as it was."""
    fleet.register(slots=3)
    assert insist(client.simulate_get("/engines"), 200)["engines"][0]["seen"] == "live"
    insist(client.simulate_delete("/engines/engine-1"), 200)
    clock.advance(10_000_000)
    assert insist(client.simulate_get("/engines"), 200)["engines"] == []
    left = insist(client.simulate_get("/engines", params={"left": "true"}), 200)["engines"]
    assert [(each["id"], each["seen"], each["slots"]) for each in left] == [("engine-1", "left", 3)]


@pytest.mark.checklist(41)
def test_an_engine_shows_what_it_runs_and_how_far(fleet: Fleet, client: TestClient) -> None:
    """Its live leases, with progress; what has ended is not among them."""
    lease = fleet.running()
    body = {"token": lease["token"], "engine_id": lease["engine_id"], "fraction": 0.5, "message": "pass 1"}
    client.simulate_put(f"/jobs/{lease['job_id']}/progress", json=body)
    for engine in (
        insist(client.simulate_get("/engines/engine-1"), 200),
        insist(client.simulate_get("/engines"), 200)["engines"][0],
    ):
        (running,) = engine["attempts"]
        assert (running["job_id"], running["progress"]["fraction"]) == (lease["job_id"], 0.5)
    fleet.report(lease)
    assert insist(client.simulate_get("/engines/engine-1"), 200)["attempts"] == []


@pytest.mark.checklist(82)
def test_a_pin_is_no_way_around_the_rules(fleet: Fleet, client: TestClient) -> None:
    """The job waits for its engine, and that engine must be able and allowed to run it like any other."""
    job = fleet.submit(requirements=["encoder has libx265"])
    fleet.register("weak")
    fleet.register("able", facts={"codec": ["h264"], "encoder": ["libx265"], "ffmpeg": "7.1"})
    path = f"/jobs/{job['id']}"
    insist(client.simulate_post(f"{path}/assign", json={"engine_id": "weak", "reason": "try"}), 200)
    assert (claims(client, "weak"), claims(client, "able")) == (204, 204)
    insist(client.simulate_post(f"{path}/assign", json={"engine_id": "able"}), 200)
    insist(client.simulate_post("/engines/able/cordon", json={"reason": "noise"}), 200)
    assert claims(client, "able") == 204
    insist(client.simulate_post("/engines/able/resume"), 200)
    assert claims(client, "able") == 201
    events = insist(client.simulate_get(f"{path}/history"), 200)["events"]
    assert next(row["data"]["pin"]["reason"] for row in events if row["event"] == "job-pinned") == "try"
