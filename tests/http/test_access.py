"""Every route × method × principal, generated: who is let in where, and that what is another's is not there."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from falcon.testing import Result, TestClient

from dispatch_core import (
    TRANSCODE,
    BatchReport,
    Context,
    Dispatcher,
    LimitSpec,
    ManualClock,
    PoolSpec,
    Scope,
    SeededIds,
)
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import DispatchApp, create_app
from dispatch_http.legacy.kind import DISTCONV
from dispatch_http.observing import make_log
from dispatch_http.route import METHODS, OPEN
from dispatch_http.settings import HttpSettings, api_key
from tests.core.house import claim, spec, start
from tests.http.fleet import PARAMETERS, PROFILE, problem

pytestmark = [pytest.mark.checklist(59), pytest.mark.checklist(81)]

OWN_KEY = "the-servers-own-key-of-some-length"
PUBLIC, SUBMITTER, ENGINE, ADMIN, OPERATOR = "public", "submitter", "engine", "admin", "operator"
JOB, FLEET, WORK, STEER = (SUBMITTER,), (SUBMITTER, ENGINE), (ENGINE,), ()

# What each cell of the table of routes is for, besides admins. A route that is not here fails the first test.
OLDER: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/"): (PUBLIC,),
    ("HEAD", "/"): (PUBLIC,),
    ("GET", "/health"): (PUBLIC,),
    ("HEAD", "/health"): (PUBLIC,),
    ("GET", "/jobs/"): JOB,
    ("POST", "/jobs/"): JOB,
    ("POST", "/jobs/{job_id}/retry"): JOB,
    ("POST", "/jobs/{job_id}/progress"): WORK,
    ("POST", "/assign_job/"): WORK,
    ("GET", "/engines/"): JOB,
    ("POST", "/engines/heartbeat"): WORK,
    ("POST", "/engines/benchmark_result"): WORK,
    ("GET", "/storage_pools/"): JOB,
    ("POST", "/storage_pools/"): STEER,
}
MATRIX: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/jobs"): JOB,
    ("POST", "/jobs"): JOB,
    ("GET", "/jobs/export"): JOB,
    ("POST", "/jobs:requeue"): STEER,
    ("POST", "/jobs:cancel"): STEER,
    ("GET", "/history/export"): STEER,
    ("GET", "/jobs/{job_id}"): JOB,
    ("PATCH", "/jobs/{job_id}"): JOB,
    ("DELETE", "/jobs/{job_id}"): JOB,
    ("POST", "/jobs/{job_id}/cancel"): JOB,
    ("POST", "/jobs/{job_id}/hold"): JOB,
    ("POST", "/jobs/{job_id}/release"): JOB,
    ("POST", "/jobs/{job_id}/requeue"): JOB,
    ("POST", "/jobs/{job_id}/restore"): JOB,
    ("POST", "/jobs/{job_id}/assign"): STEER,
    ("GET", "/jobs/{job_id}/history"): JOB,
    ("GET", "/jobs/{job_id}/attempts"): JOB,
    ("GET", "/jobs/{job_id}/attempts/{number}"): JOB,
    ("GET", "/jobs/{job_id}/explain"): JOB,
    ("PUT", "/jobs/{job_id}/status"): WORK,
    ("POST", "/jobs/{job_id}/complete"): WORK,
    ("POST", "/jobs/{job_id}/fail"): WORK,
    ("PATCH", "/jobs/{job_id}/status"): WORK,
    ("PUT", "/jobs/{job_id}/progress"): WORK,
    ("POST", "/jobs/{job_id}/renew"): WORK,
    ("GET", "/queue/next_job"): WORK,
    ("POST", "/queue/next_job"): WORK,
    ("GET", "/engines"): JOB,
    ("GET", "/engines/{engine_id}"): FLEET,
    ("GET", "/engines/{engine_id}/jobs"): JOB,
    ("GET", "/engines/{engine_id}/performance"): FLEET,
    ("GET", "/engines/{engine_id}/estimates"): JOB,
    ("GET", "/estimates"): JOB,
    ("PUT", "/engines/{engine_id}"): WORK,
    ("DELETE", "/engines/{engine_id}"): WORK,
    ("POST", "/engines/{engine_id}/heartbeat"): WORK,
    ("POST", "/engines/{engine_id}/benchmarks"): WORK,
    ("POST", "/engines/{engine_id}/reports"): WORK,
    ("POST", "/engines/{engine_id}/cordon"): STEER,
    ("POST", "/engines/{engine_id}/drain"): STEER,
    ("POST", "/engines/{engine_id}/resume"): STEER,
    ("GET", "/windows"): JOB,
    ("POST", "/windows"): STEER,
    ("DELETE", "/windows/{window_id}"): STEER,
    ("GET", "/limits"): FLEET,
    ("GET", "/limits/{limit_key}"): FLEET,
    ("PUT", "/limits/{limit_key}"): STEER,
    ("DELETE", "/limits/{limit_key}"): STEER,
    ("GET", "/campaigns/{campaign}"): JOB,
    ("GET", "/pools"): FLEET,
    ("POST", "/pools"): STEER,
    ("GET", "/pools/{pool_id}"): FLEET,
    ("PATCH", "/pools/{pool_id}"): STEER,
    ("DELETE", "/pools/{pool_id}"): STEER,
    ("POST", "/pools/{pool_id}/report"): WORK,
    ("GET", "/keys"): STEER,
    ("POST", "/keys"): STEER,
    ("DELETE", "/keys/{key_id}"): STEER,
    ("POST", "/keys/{key_id}/rotate"): STEER,
    ("GET", "/status"): JOB,
    **{
        (method, path): (PUBLIC,)
        for method in ("GET", "HEAD")
        for path in ("/version", "/health/live", "/health/ready")
    },
    ("GET", "/logs"): (OPERATOR,),
    ("GET", "/metrics"): (OPERATOR,),
    ("GET", "/openapi.json"): (PUBLIC,),
    ("GET", "/docs"): (PUBLIC,),
    ("GET", "/admin/backup"): (OPERATOR,),
    ("POST", "/admin/backup"): (OPERATOR,),
    ("POST", "/admin/purge"): (OPERATOR,),
    ("POST", "/admin/rekey"): (OPERATOR,),
    **OLDER,
}
CELLS = sorted(MATRIX)
HELD = {"token": "TOKEN", "engine_id": "ENGINE"}
# What a body must be for the request to reach the thing it is about; an empty object serves the others.
BODIES: dict[tuple[str, str], dict[str, object]] = {
    ("POST", "/jobs"): {"parameters": PARAMETERS},
    ("POST", "/jobs:requeue"): {"filter": {"state": "failed_permanently"}, "dry_run": True},
    ("POST", "/jobs:cancel"): {"filter": {"state": "pending"}, "dry_run": True},
    ("POST", "/jobs/{job_id}/progress"): {"progress": 1},
    ("POST", "/storage_pools/"): {"name": "made", "capacity_gb": 1},
    ("POST", "/jobs/{job_id}/assign"): {"engine_id": None},
    ("PUT", "/engines/{engine_id}"): {"session": "s", "profile": PROFILE},
    ("POST", "/engines/{engine_id}/heartbeat"): {"session": "s"},
    ("POST", "/engines/{engine_id}/reports"): {
        "reports": [{"job_id": "job-1", "token": "i.1", "status": "running"}]
    },
    ("POST", "/engines/{engine_id}/benchmarks"): {
        "benchmarks": [{"task_class": "h264/1080p/encode", "units_per_s": 1}]
    },
    ("POST", "/windows"): {"engine_id": None, "ends_at": "2040-01-01T00:00:00Z"},
    ("PUT", "/limits/{limit_key}"): {"capacity": 1},
    ("POST", "/pools"): {"id": "made", "capacity_bytes": 1},
    ("POST", "/pools/{pool_id}/report"): {"used_bytes": 1},
    ("POST", "/admin/purge"): {"dry_run": True},
    ("POST", "/keys"): {"name": "made", "scopes": ["engine"]},
    ("PUT", "/jobs/{job_id}/status"): {**HELD, "status": "completed"},
    ("POST", "/jobs/{job_id}/complete"): {**HELD},
    ("POST", "/jobs/{job_id}/fail"): {**HELD},
    ("PATCH", "/jobs/{job_id}/status"): {**HELD, "status": "completed"},
    ("PUT", "/jobs/{job_id}/progress"): {**HELD, "fraction": 0.5},
    ("POST", "/jobs/{job_id}/renew"): {**HELD},
}


@attrs.frozen
class Site:
    """A server with two tenants: each has a job that runs on its engine, and a key of every kind."""

    client: TestClient
    dispatcher: Dispatcher
    clock: ManualClock
    log_lines: io.StringIO
    texts: dict[str, str]
    places: dict[str, dict[str, str]]

    def call(self, method: str, path: str, principal: str | None, place: str = "default") -> Result:
        """A request about a tenant's things."""
        there = self.places[place]
        body = {
            name: {"TOKEN": there["token"], "ENGINE": there["engine_id"]}.get(str(value), value)
            for name, value in BODIES.get((method, path), {}).items()
        }
        params = {"engine_id": there["engine_id"]} if path == "/queue/next_job" else {}
        if (method, path) == ("POST", "/queue/next_job"):
            params["session"] = "s"
        headers = {} if principal is None else {"Authorization": f"Bearer {self.texts[principal]}"}
        sends = method in ("POST", "PUT", "PATCH")
        return self.client.simulate_request(
            method,
            path.format(**there),
            params=params,
            headers=headers | ({"Content-Type": "application/json"} if sends else {}),
            body=json.dumps(body) if sends else None,
        )


def furnish(dispatcher: Dispatcher, tenant: str, engine_id: str) -> dict[str, str]:
    """A running job, its engine and a key in a tenant; their ids."""
    acting = dispatcher.acting(Context(tenant=tenant, actor="setup"))
    job = acting.submit(spec(campaign=f"campaign-of-{tenant}"))
    start(acting, engine_id, session="s")
    lease = claim(acting, engine_id, session="s")
    assert lease.job.id == job.id
    key, _ = acting.create_key("some", (Scope.SUBMITTER,))
    later = 4_000_000_000_000_000
    pool = acting.pools.create(f"pool-of-{tenant}", PoolSpec(capacity_bytes=1))
    return {
        "limit_key": acting.limits.set(f"limit-of-{tenant}", LimitSpec(capacity=1)).name,
        "pool_id": pool.id,
        "campaign": f"campaign-of-{tenant}",
        "window_id": acting.windows.plan(None, from_us=later, until_us=later + 1).id,
        "job_id": job.id,
        "engine_id": engine_id,
        "number": "1",
        "key_id": key.id,
        "token": lease.token,
    }


def keys_of(dispatcher: Dispatcher, clock: ManualClock) -> dict[str, str]:
    """The text of every principal's key."""

    def text(tenant: str, *scopes: Scope, **fields: Any) -> tuple[str, str]:
        key, told = dispatcher.create_key("principal", scopes, tenant=tenant, **fields)
        assert told is not None
        return key.id, told

    revoked_id, revoked = text("default", Scope.ADMIN)
    dispatcher.revoke_key(revoked_id)
    _, expired = text("default", Scope.ADMIN, expires_us=clock.now_us() + 1)
    clock.advance_us(1)
    wrong = revoked[:-1] + ("0" if revoked[-1] != "0" else "1")
    good = {
        "submitter": text("default", Scope.SUBMITTER),
        "engine": text("default", Scope.ENGINE),
        "bound": text("default", Scope.ENGINE, engine_id="engine-1"),
        "other engine": text("default", Scope.ENGINE, engine_id="engine-9"),
        "admin": text("default", Scope.ADMIN),
        "other tenant": text("other", Scope.ADMIN),
    }
    return {
        "wrong": wrong,
        "revoked": revoked,
        "expired": expired,
        "bootstrap": OWN_KEY,
        **{name: each for name, (_, each) in good.items()},
    }


@pytest.fixture
def site(clock: ManualClock, log_lines: io.StringIO) -> Iterator[Site]:
    """One for each test: requests change it."""
    with Dispatcher(MemoryStorage(clock), ids=SeededIds(7), kinds=(TRANSCODE, DISTCONV)) as dispatcher:
        app = create_app(dispatcher, HttpSettings(keys=(api_key(OWN_KEY, "own"),)), log=make_log(log_lines))
        yield Site(
            client=TestClient(app, headers={"Host": "localhost"}),
            dispatcher=dispatcher,
            clock=clock,
            log_lines=log_lines,
            texts=keys_of(dispatcher, clock),
            places={
                "default": furnish(dispatcher, "default", "engine-1"),
                "other": furnish(dispatcher, "other", "engine-2"),
                "nowhere": {
                    "job_id": "job-nowhere", "engine_id": "engine-0", "number": "1", "key_id": "key-nowhere",
                    "token": "i.j.1", "pool_id": "pool-nowhere", "window_id": "window-nowhere",
                    "limit_key": "limit-nowhere", "campaign": "campaign-nowhere",
                },
            },
        )  # fmt: skip
    assert '"event": "failure"' not in log_lines.getvalue()


def table() -> dict[tuple[str, str], object]:
    """What the routes declare."""
    with Dispatcher(MemoryStorage(), kinds=(TRANSCODE, DISTCONV)) as dispatcher:
        app = create_app(dispatcher, log=make_log(io.StringIO()))
    assert isinstance(app, DispatchApp)
    return {(method, route.path): route.scope[method] for route in app.routes for method in route.scope}


def test_every_route_has_its_cell() -> None:
    """A route or a method that is new must be entered here; one that is gone, struck out."""
    declared = table()
    assert set(declared) == set(MATRIX)
    assert {cell for cell in declared if declared[cell] is OPEN} == {
        cell for cell in MATRIX if MATRIX[cell] == (PUBLIC,)
    }
    assert {method for method, _ in MATRIX} <= set(METHODS)


def expected(cell: tuple[str, str], principal: str | None) -> int | None:
    """401, 403, or None for "let in"."""
    roles = MATRIX[cell]
    if roles == (PUBLIC,):
        return None
    if principal in (None, "wrong", "revoked", "expired"):
        return 401
    if principal == "bootstrap":
        return None
    if roles == (OPERATOR,):
        return 403
    if principal in ("admin", "other tenant"):
        return None
    if principal == "other engine" and cell not in OLDER and not cell[1].startswith(("/pools", "/limits")):
        return 403  # it has the scope, but these are about another engine
    role = SUBMITTER if principal == "submitter" else ENGINE
    return None if role in roles else 403


PRINCIPALS = [
    None, "wrong", "revoked", "expired", "submitter", "engine", "bound", "other engine", "admin", "other tenant",
    "bootstrap",
]  # fmt: skip


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
@pytest.mark.checklist(60)
def test_who_is_let_in(site: Site, cell: tuple[str, str]) -> None:
    """Of each principal: 401 with a challenge, 403 that changes nothing, or what an admin would get, too."""
    method, path = cell
    for principal in sorted(PRINCIPALS, key=lambda each: expected(cell, each) is None):
        before = len(site.dispatcher.events())
        answer = site.call(method, path, principal)
        wanted = expected(cell, principal)
        if wanted is None:
            assert answer.status_code not in (401, 403), (principal, answer.text)
            assert answer.status_code < 500, answer.text
            continue
        problem(answer, wanted, "unauthorized" if wanted == 401 else "forbidden")
        assert len(site.dispatcher.events()) == before, "a refusal changes nothing"
        if wanted == 401:
            challenge = answer.headers["WWW-Authenticate"]
            assert challenge.startswith('Bearer realm="dispatch"')
            assert ('error="invalid_token"' in challenge) == (principal is not None)


# To register makes what is missing; that has a test of its own.
MAKING = {("PUT", "/engines/{engine_id}"), ("PUT", "/limits/{limit_key}")}
NAMING = [cell for cell in CELLS if "{" in cell[1] and cell not in MAKING]


@pytest.mark.parametrize("cell", NAMING, ids="-".join)
def test_what_is_another_tenants_is_not_there(site: Site, cell: tuple[str, str]) -> None:
    """404, and byte for byte the answer for an id that nobody has; nothing of the other tenant moves."""
    method, path = cell
    theirs = site.dispatcher.acting(Context(tenant="other"))
    before = len(theirs.events())
    foreign = site.call(method, path, "admin", "other")
    missing = site.call(method, path, "admin", "nowhere")
    assert (foreign.status_code, missing.status_code) == (404, 404), foreign.text
    place, nowhere = site.places["other"], site.places["nowhere"]
    text = foreign.content
    for name in ("job_id", "engine_id", "key_id", "pool_id", "window_id", "limit_key", "campaign"):
        text = text.replace(place[name].encode(), nowhere[name].encode())
    ids = [each.json["request_id"].encode() for each in (foreign, missing)]
    assert text.replace(ids[0], b"") == missing.content.replace(ids[1], b"")
    assert _lasting(foreign) == _lasting(missing)
    assert len(theirs.events()) == before


def _lasting(answer: Result) -> dict[str, str]:
    varying = ("x-request-id", "content-length")
    return {name: value for name, value in answer.headers.items() if name not in varying}


def test_the_name_of_an_engine_is_everybodys(site: Site) -> None:
    """Engines' names are unique on a server, so a name taken elsewhere is refused; of its engine one learns nothing."""
    answer = site.call("PUT", "/engines/{engine_id}", "admin", "other")
    problem(answer, 422, "invalid-command")
    assert "other" not in answer.text.replace("another", "")
    assert site.dispatcher.acting(Context(tenant="other")).engine("engine-2").engine.version == 1


def test_lists_counts_and_keys_are_the_tenants_own(site: Site) -> None:
    """An admin sees none of the jobs, engines, counts and keys of the other tenant; the operator sees all keys."""
    told = "".join(site.call("GET", path, "admin").text for path in ("/jobs", "/engines", "/keys", "/status"))
    for name in ("job_id", "engine_id", "key_id", "pool_id"):
        assert site.places["other"][name] not in told
    assert site.places["default"]["key_id"] in told
    assert site.call("GET", "/status", "admin").json["accepted"] == 1
    assert site.places["other"]["key_id"] in site.call("GET", "/keys", "bootstrap").text
    params = {"tenant": "other"}
    headers = {"Authorization": f"Bearer {site.texts['admin']}"}
    problem(site.client.simulate_get("/keys", params=params, headers=headers), 403, "forbidden")


def bearer(text: str) -> dict[str, str]:
    """The header of a key."""
    return {"Authorization": f"Bearer {text}"}


def test_a_key_is_made_used_rotated_and_revoked(site: Site) -> None:
    """Over HTTP from beginning to end; the secret is in two answers that nothing may keep."""
    make = {"name": "ci", "scopes": ["submitter"], "tenant": "other", "expires_at": "2031-01-01T00:00:00Z"}
    made = site.client.simulate_post("/keys", json=make, headers=bearer(OWN_KEY))
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    first, key_id = made.json["text"], made.json["id"]
    assert {name: made.json[name] for name in make} == {**make, "expires_at": "2031-01-01T00:00:00.000000Z"}
    job = site.client.simulate_post("/jobs", json={"parameters": PARAMETERS}, headers=bearer(first))
    assert job.json["tenant"] == "other"
    (event,) = site.client.simulate_get(
        f"/jobs/{job.json['id']}/history", headers=bearer(site.texts["other tenant"])
    ).json["events"]
    assert event["actor"] == f"key:ci/{key_id}"

    rotated = site.client.simulate_post(
        f"/keys/{key_id}/rotate", json={"overlap_s": 60}, headers=bearer(site.texts["other tenant"])
    )
    assert (rotated.status_code, rotated.headers["Cache-Control"]) == (200, "no-store")
    second = rotated.json["text"]
    assert [site.client.simulate_get("/jobs", headers=bearer(each)).status_code for each in (first, second)] == [
        200, 200]  # fmt: skip
    site.clock.advance(60)
    assert [site.client.simulate_get("/jobs", headers=bearer(each)).status_code for each in (first, second)] == [
        401, 200]  # fmt: skip
    gone = site.client.simulate_delete(f"/keys/{key_id}", headers=bearer(OWN_KEY))
    assert gone.json["revoked_at"] is not None
    assert site.client.simulate_get("/jobs", headers=bearer(second)).status_code == 401
    log = site.log_lines.getvalue()
    events = str(site.dispatcher.acting(Context(tenant="other")).events())
    for text in (first, second):
        assert text.rpartition("_")[2] not in log + events + gone.text


def test_a_repeated_creation_tells_no_second_secret(site: Site) -> None:
    """The first answer without its text: that is kept nowhere."""
    headers = bearer(OWN_KEY) | {"Idempotency-Key": "k"}
    make = {"name": "ci", "scopes": ["engine"], "engine_id": "engine-1"}
    first, second = (site.client.simulate_post("/keys", json=make, headers=headers) for _ in range(2))
    assert second.json == {**first.json, "text": None}


def test_an_unfit_key_is_told_with_the_names_of_the_edge(site: Site) -> None:
    """Every field that is wrong, where the caller wrote it."""
    for field, value in {"expires_at": "2001-01-01T00:00:00Z", "scopes": ["operator"], "name": "a b"}.items():
        make = {"name": "ci", "scopes": ["engine"], field: value}
        answer = site.client.simulate_post("/keys", json=make, headers=bearer(OWN_KEY))
        (error,) = problem(answer, 422, "invalid-command")["errors"]
        assert error["pointer"].split("/")[1] == field


def test_a_store_with_keys_has_no_anonymous_callers(clock: ManualClock, log_lines: io.StringIO) -> None:
    """Whoever made a key wants keys to count, also where the server itself was given none."""
    with Dispatcher(MemoryStorage(clock)) as dispatcher:
        app = create_app(dispatcher, HttpSettings(), log=make_log(log_lines))
        client = TestClient(app, headers={"Host": "localhost"})
        assert client.simulate_get("/jobs").status_code == 200
        made = client.simulate_post("/keys", json={"name": "first", "scopes": ["admin"]})
        problem(client.simulate_get("/jobs"), 401, "unauthorized")
        assert client.simulate_get("/jobs", headers=bearer(made.json["text"])).status_code == 200
        client.simulate_delete(f"/keys/{made.json['id']}", headers=bearer(made.json["text"]))
        problem(client.simulate_get("/jobs"), 401, "unauthorized")


def test_a_revocation_on_another_server_counts_within_a_second(
    clock: ManualClock, log_lines: io.StringIO
) -> None:
    """Two servers on one store: the one that did not revoke trusts the key for less than a second."""
    storage = MemoryStorage(clock)
    with Dispatcher(storage) as here, Dispatcher(storage) as there:
        key, text = here.create_key("k", (Scope.SUBMITTER,))
        assert text is not None
        client = TestClient(
            create_app(there, HttpSettings(), log=make_log(log_lines)), headers={"Host": "localhost"}
        )
        assert client.simulate_get("/jobs", headers=bearer(text)).status_code == 200
        here.revoke_key(key.id)
        clock.advance_us(999_999)
        assert client.simulate_get("/jobs", headers=bearer(text)).status_code == 200
        clock.advance_us(1)
        problem(client.simulate_get("/jobs", headers=bearer(text)), 401, "unauthorized")


def test_a_key_revoked_while_it_waits_gets_no_work(clock: ManualClock, log_lines: io.StringIO) -> None:
    """The claim is answered 401, and what it was given is back for others, not counted as an attempt."""

    class RevokesAtAGrant:
        def committed(self, report: BatchReport) -> None:
            if any(row.event == "job-granted" for row in report.history):
                dispatcher.revoke_key(key.id)

    with Dispatcher(MemoryStorage(clock), observers=[RevokesAtAGrant()]) as dispatcher:
        key, text = dispatcher.create_key("k", (Scope.ENGINE,))
        assert text is not None
        start(dispatcher, "engine-1", session="s")
        job = dispatcher.submit(spec())
        app = create_app(dispatcher, HttpSettings(), log=make_log(log_lines))
        params = {"engine_id": "engine-1", "session": "s"}
        answer = TestClient(app, headers={"Host": "localhost"}).simulate_post(
            "/queue/next_job", params=params, headers=bearer(text)
        )
        problem(answer, 401, "unauthorized")
        after = dispatcher.job(job.id)
        assert (after.state.value, after.attempts_used, after.last_attempt) == ("pending", 0, 1)
