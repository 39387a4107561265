"""Who is let in by the older paths, and which protocol a shared path speaks."""

import io
import re

import pytest
from falcon.testing import Result, TestClient

from dispatch_core import TRANSCODE, Dispatcher, Scope
from dispatch_core.storage import MemoryStorage
from dispatch_http.admission import Gate
from dispatch_http.app import create_app
from dispatch_http.desk import Desk
from dispatch_http.legacy.frontend import MET, older_routes, with_older_fleet
from dispatch_http.legacy.kind import DISTCONV
from dispatch_http.observing import Metrics, make_log
from dispatch_http.route import OPEN
from dispatch_http.routes import routes
from dispatch_http.settings import HttpSettings, SettingsError, api_key, refuse_open_door
from tests.http.fleet import PARAMETERS, problem
from tests.http.legacy.words import SOURCE, Older

KEY = "a-good-key-of-some-length"
SHIPPED = "the-key-everybody-knows"
BOTH = (TRANSCODE, DISTCONV)


@pytest.fixture
def settings() -> HttpSettings:
    """A key for everything, and the fleet's own."""
    return HttpSettings(keys=(api_key(KEY, "ops"),), legacy_keys=(api_key(SHIPPED, "shipped"),))


@pytest.fixture
def older(client: TestClient) -> Older:
    """The fleet with an ordinary key."""
    return Older(client, KEY)


@pytest.fixture
def shipped(client: TestClient) -> Older:
    """The fleet with the key it is shipped with."""
    return Older(client, SHIPPED)


def doors(*, own: bool) -> list[tuple[str, str]]:
    """Methods and paths of the older protocol, or of the present one, that need a key."""
    with Dispatcher(MemoryStorage()) as dispatcher:
        desk = Desk(dispatcher=dispatcher, settings=HttpSettings(), gate=Gate(1))
        older = {(method, route.path) for route in older_routes(desk) for method in route.scope} | MET
        table = with_older_fleet(routes(desk, Metrics(dispatcher)), desk)
        asked = {(method, route.path): scope for route in table for method, scope in route.scope.items()}
    return sorted(door for door, scope in asked.items() if (door in older) is own and scope is not OPEN)


def knock(client: TestClient, door: tuple[str, str], **headers: str) -> Result:
    """A request at a door."""
    return client.simulate_request(door[0], re.sub(r"{\w+}", "1", door[1]), headers=headers)


@pytest.mark.parametrize("door", doors(own=True), ids=" ".join)
def test_the_older_paths_need_a_key(client: TestClient, door: tuple[str, str]) -> None:
    """None or a wrong one is 401, which an engine understands at its start; either good one is let in."""
    problem(knock(client, door), 401, "unauthorized")
    problem(knock(client, door, **{"X-API-Key": "a-bad-key-of-some-length"}), 401, "unauthorized")
    for headers in ({"X-API-Key": KEY}, {"X-API-Key": SHIPPED}, {"Authorization": f"Bearer {KEY}"}):
        assert knock(client, door, **headers).status_code not in (401, 403, 500)


@pytest.mark.parametrize("door", doors(own=False), ids=" ".join)
def test_the_fleets_key_opens_nothing_else(client: TestClient, door: tuple[str, str]) -> None:
    """In either header."""
    for headers in ({"X-API-Key": SHIPPED}, {"Authorization": f"Bearer {SHIPPED}"}):
        problem(knock(client, door, **headers), 401, "unauthorized")


def test_the_fleets_key_does_not_show_other_jobs(client: TestClient, shipped: Older) -> None:
    """Not on the paths that both protocols have either; its own are shown."""
    answer = client.simulate_post(
        "/jobs", json={"parameters": PARAMETERS}, headers={"Authorization": f"Bearer {KEY}"}
    )
    other, own = answer.json["id"], shipped.submit()["job_id"]
    problem(shipped.call("GET", f"/jobs/{other}"), 404, "unknown-job")
    problem(shipped.post(f"/jobs/{other}/cancel"), 404, "unknown-job")
    assert shipped.job(own)["job_id"] == own
    assert shipped.told(shipped.post(f"/jobs/{own}/cancel"))["status"] == "cancelled"


def test_who_did_it_is_in_the_history(dispatcher: Dispatcher, older: Older, shipped: Older) -> None:
    """The name of the key, and which kind of key it is."""
    actors = [dispatcher.history(each.submit()["job_id"])[0].actor for each in (older, shipped)]
    assert actors == ["key:ops", "fleet:shipped"]


def test_two_keys_at_a_time_are_refused(client: TestClient, older: Older) -> None:
    """Which one counts would be a guess."""
    answer = older.call("GET", "/jobs/", Authorization=f"Bearer {KEY}")
    problem(answer, 400, "invalid-header")
    both = {"X-API-Key": SHIPPED, "Authorization": f"Bearer {KEY}"}
    problem(client.simulate_get("/jobs/", headers=both), 400, "invalid-header")


def test_the_header_says_which_protocol_a_shared_path_speaks(client: TestClient, older: Older) -> None:
    """A job of the older fleet has the older shape for X-API-Key, and ours for a bearer of the same key."""
    job_id = older.submit()["job_id"]
    bearer = {"Authorization": f"Bearer {KEY}"}
    assert older.job(job_id)["job_id"] == job_id
    present = client.simulate_get(f"/jobs/{job_id}", headers=bearer).json
    assert (present["id"], present["kind"]) == (job_id, "distconv")
    cancelled = client.simulate_post(f"/jobs/{job_id}/cancel", headers=bearer).json
    assert (cancelled["id"], cancelled["state"]) == (job_id, "cancelled")


def test_other_jobs_have_one_shape_whatever_the_header(client: TestClient, older: Older) -> None:
    """X-API-Key opens the present API, too, and changes nothing there."""
    header = {"X-API-Key": KEY}
    job_id = client.simulate_post("/jobs", json={"parameters": PARAMETERS}, headers=header).json["id"]
    assert client.simulate_get(f"/jobs/{job_id}", headers=header).json["id"] == job_id
    assert client.simulate_get("/jobs", headers=header).json["jobs"][0]["id"] == job_id
    edited = client.simulate_patch(f"/jobs/{job_id}", json={"priority": 3}, headers=header)
    assert edited.json["priority"] == 3
    body = {"reason": "enough"}
    answer = client.simulate_post(f"/jobs/{job_id}/cancel", json=body, headers=header)
    assert answer.json["state"] == "cancelled"
    problem(client.simulate_put(f"/jobs/{job_id}/progress", json={}, headers=header), 422, "invalid-command")
    assert client.simulate_delete(f"/jobs/{job_id}", headers=header).status_code == 200


def test_without_keys_this_machine_is_served_whatever_key_it_sends() -> None:
    """As the rest of the API is: the fleet's fixed key needs no file then."""
    with Dispatcher(MemoryStorage(), kinds=BOTH) as dispatcher:
        client = TestClient(create_app(dispatcher), headers={"Host": "localhost"})
        assert Older(client).submit()["status"] == "pending"
        answer = client.simulate_post("/jobs/", json={"source_url": SOURCE, "target_codec": "h264"})
        assert answer.status_code == 200


@pytest.mark.parametrize(("kinds", "legacy"), [((TRANSCODE,), True), (BOTH, False)])
def test_it_can_be_left_out(kinds: tuple[object, ...], legacy: bool) -> None:
    """By the setting, or by a dispatcher that does not have its kind: its paths are not there then."""
    with Dispatcher(MemoryStorage(), kinds=kinds) as dispatcher:  # type: ignore[arg-type]  # they are kinds
        app = create_app(dispatcher, HttpSettings(legacy=legacy), log=make_log(io.StringIO()))
        client = TestClient(app, headers={"Host": "localhost"})
        for path in ("/", "/health", "/jobs/", "/engines/", "/storage_pools/"):
            assert client.simulate_get(path).status_code == 404, path
        assert client.simulate_post("/assign_job/").status_code == 404
        assert client.simulate_get("/jobs").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_key_that_everybody_knows_is_for_this_machine_only(host: str) -> None:
    """Beside ordinary keys, too, unless somebody says explicitly that it is insecure."""
    keys = {"keys": (api_key(KEY),), "legacy_keys": (api_key(SHIPPED),)}
    with pytest.raises(SettingsError, match="known to everybody"):
        refuse_open_door(HttpSettings(host=host, **keys))  # type: ignore[arg-type]  # keywords of several types
    refuse_open_door(HttpSettings(host=host, insecure=True, **keys))  # type: ignore[arg-type]  # keywords of several types
    refuse_open_door(HttpSettings(host="127.0.0.1", **keys))  # type: ignore[arg-type]  # keywords of several types


# ----- keys of the store


def kept(dispatcher: Dispatcher, client: TestClient, *scopes: Scope, **bounds: str) -> Older:
    """The fleet with a key of its own that has these scopes."""
    return Older(client, dispatcher.create_key("fleet", scopes, **bounds)[1])  # type: ignore[arg-type]  # keywords of several types


def test_a_submitters_key_is_the_clients(dispatcher: Dispatcher, client: TestClient) -> None:
    """It does what the client does, cancels what runs, and is no engine."""
    person, machine = (kept(dispatcher, client, each) for each in (Scope.SUBMITTER, Scope.ENGINE))
    job_id = person.submit()["job_id"]
    machine.start()
    assert (machine.assign() or {})["job_id"] == job_id
    for path in ("/jobs/", "/engines/", f"/jobs/{job_id}"):
        assert person.call("GET", path).status_code == 200
    assert person.told(person.post(f"/jobs/{job_id}/cancel"))["status"] == "cancelled"
    assert person.told(person.post(f"/jobs/{job_id}/retry"))["status"] == "pending"
    body = {"engine_id": "engine-1", "progress": 1}
    for path in (
        "/engines/heartbeat",
        "/assign_job/",
        f"/jobs/{job_id}/complete",
        f"/jobs/{job_id}/progress",
    ):
        problem(person.post(path, body), 403, "forbidden")


def test_an_engines_key_is_the_engines(dispatcher: Dispatcher, client: TestClient) -> None:
    """It works and reports, though it may look at no job."""
    person, machine = (kept(dispatcher, client, each) for each in (Scope.SUBMITTER, Scope.ENGINE))
    jobs = [person.submit()["job_id"] for _ in range(2)]
    machine.start()
    machine.beat()
    assert (
        machine.post("/engines/benchmark_result", {"engine_id": "engine-1", "benchmark_time": 1}).status_code
        == 200
    )
    first = str((machine.assign() or {})["job_id"])
    assert machine.post(f"/jobs/{first}/progress", {"progress": 50}).status_code == 200
    assert machine.complete(first)["status"] == "completed"
    second = str((machine.assign() or {})["job_id"])
    assert {first, second} == set(jobs)
    assert machine.fail(second)["status"] == "failed_retry"
    for method, path in (
        ("GET", "/jobs/"),
        ("POST", "/jobs/"),
        ("GET", f"/jobs/{first}"),
        ("GET", "/engines/"),
    ):
        problem(machine.call(method, path), 403, "forbidden")


def test_a_key_of_one_engine_speaks_for_that_one(dispatcher: Dispatcher, client: TestClient) -> None:
    """So its reports are fenced after all: they cannot end another engine's attempt."""
    person = kept(dispatcher, client, Scope.SUBMITTER)
    one, two = (kept(dispatcher, client, Scope.ENGINE, engine_id=f"engine-{number}") for number in (1, 2))
    job_id = person.submit()["job_id"]
    one.start("engine-1")
    two.start("engine-2")
    problem(two.post("/engines/heartbeat", {"engine_id": "engine-1"}), 403, "forbidden")
    problem(two.post("/assign_job/", {"engine_id": "engine-1"}), 403, "forbidden")
    assert (one.assign("engine-1") or {})["job_id"] == job_id
    problem(two.post(f"/jobs/{job_id}/complete", {}), 403, "forbidden")
    problem(two.post(f"/jobs/{job_id}/fail", {}), 403, "forbidden")
    assert one.complete(job_id)["status"] == "completed"


def test_tenants_have_fleets_of_their_own(dispatcher: Dispatcher, client: TestClient) -> None:
    """Neither sees, gets or ends the other's jobs: they do not exist for it."""
    every = (Scope.SUBMITTER, Scope.ENGINE)
    blue, red = (kept(dispatcher, client, *every, tenant=tenant) for tenant in ("blue", "red"))
    job_id = blue.submit()["job_id"]
    blue.start("blue-1")
    red.start("red-1")
    assert red.assign("red-1") is None
    assert (blue.assign("blue-1") or {})["job_id"] == job_id
    assert red.told(red.call("GET", "/jobs/")) == []
    assert [engine["engine_id"] for engine in red.told(red.call("GET", "/engines/"))] == ["red-1"]
    problem(red.call("GET", f"/jobs/{job_id}"), 404, "unknown-job")
    for verb in ("complete", "fail", "cancel", "retry"):
        problem(red.post(f"/jobs/{job_id}/{verb}"), 404, "unknown-job")
    assert blue.complete(job_id)["status"] == "completed"
