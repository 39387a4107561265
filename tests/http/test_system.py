"""Counts, version, health, metrics and logs."""

import io
import json

import pytest
from falcon.testing import TestClient
from prometheus_client import CollectorRegistry

from dispatch_core import BatchReport, CompletedRun, Dispatcher, JobState, ManualClock
from dispatch_core.storage import MemoryStorage, create_storage
from dispatch_core.storage.sql.schema import HEAD
from dispatch_http import __version__
from dispatch_http.app import DispatchApp, create_app
from dispatch_http.building import commit
from dispatch_http.observing import RunMetrics, make_log
from tests.http.fleet import Fleet, insist, problem


def test_status_counts_everything(fleet: Fleet, client: TestClient) -> None:
    """Every state has its count, and the books balance."""
    fleet.running()
    fleet.submit()
    status = insist(client.simulate_get("/status"), 200)
    assert set(status["jobs"]) == {state.value for state in JobState}
    assert (status["jobs"]["assigned"], status["jobs"]["pending"], status["accepted"]) == (1, 1, 2)
    assert status["engines"]["live"] == 1
    assert status["identity_holds"] is True
    assert status["version"] == __version__


@pytest.mark.checklist(22)
def test_the_version_names_build_schema_and_interface() -> None:
    """Enough to tell which server answers, and which tables it keeps."""
    for store, schema in ((MemoryStorage(), None), (create_storage("sqlite://"), HEAD)):
        with Dispatcher(store) as dispatcher:
            told = insist(
                TestClient(create_app(dispatcher), headers={"Host": "x"}).simulate_get("/version"), 200
            )
        assert told == {
            "name": "dispatch",
            "version": __version__,
            "commit": commit(),
            "schema": schema,
            "api": "1",
        }


@pytest.mark.checklist(23)
def test_a_server_whose_time_stands_still_is_alive_but_not_ready(
    app: DispatchApp, client: TestClient
) -> None:
    """Where ticks have begun, ready means that the last one is not long ago; where nobody ticks it says nothing."""
    now = 1_000.0
    app.heart.clock = lambda: now
    assert client.simulate_get("/health/ready").status_code == 200
    app.heart.beat()
    now += 89
    assert client.simulate_get("/health/ready").status_code == 200
    now += 2
    problem(client.simulate_get("/health/ready"), 503, "not-ready")
    assert client.simulate_get("/health/live").status_code == 200
    app.heart.beat()
    assert client.simulate_get("/health/ready").status_code == 200


@pytest.mark.checklist(23)
def test_version_and_health_answer(client: TestClient) -> None:
    """What a load balancer asks."""
    assert insist(client.simulate_get("/version"), 200)["version"] == __version__
    assert insist(client.simulate_get("/health/live"), 200) == {"status": "live"}
    assert insist(client.simulate_get("/health/ready"), 200) == {"status": "ready"}


@pytest.mark.checklist(23)
def test_a_server_whose_store_is_away_is_alive_but_not_ready() -> None:
    """Ready means that the store answers; a process that lost it need not be killed."""
    with Dispatcher(MemoryStorage()) as dispatcher:
        client = TestClient(create_app(dispatcher, log=make_log(io.StringIO())), headers={"Host": "x"})
        dispatcher.storage.close()
        problem(client.simulate_get("/health/ready"), 503, "storage-unavailable")
        assert client.simulate_get("/health/live").status_code == 200


def test_while_draining_only_health_and_version_answer(
    app: DispatchApp, fleet: Fleet, client: TestClient
) -> None:
    """503 with Retry-After for everything else: no new lease, no half-done work; liveness stays true."""
    job = fleet.submit()
    fleet.register()
    app.gate.drain()
    params = {"engine_id": "engine-1", "session": "first-start"}
    for answer in (
        client.simulate_post("/queue/next_job", params=params),
        client.simulate_get(f"/jobs/{job['id']}"),
        client.simulate_get("/health/ready"),
    ):
        problem(answer, 503, "closed")
        assert answer.headers["Retry-After"] == "2"
    assert client.simulate_get("/health/live").status_code == 200
    assert client.simulate_get("/version").status_code == 200


def test_more_waiting_claims_than_places_are_answered_at_once(app: DispatchApp) -> None:
    """Half of the threads may wait; the next claim gets no wait, so that reports are always served."""
    places = [app.gate.wait_place(5.0) for _ in range(32)]
    assert [place.__enter__() for place in places] == [5.0] * 32
    with app.gate.wait_place(5.0) as granted_s:
        assert granted_s == 0.0
    places[0].__exit__(None, None, None)
    with app.gate.wait_place(5.0) as granted_s:
        assert granted_s == 5.0


def test_metrics_count_by_route_and_not_by_id(fleet: Fleet, client: TestClient) -> None:
    """Jobs by state, times by route template, problems by code; no caller can make more labels."""
    fleet.submit()
    for number in range(3):
        client.simulate_get(f"/jobs/job-{number}")
    client.simulate_get("/wp-login.php")
    page = client.simulate_get("/metrics")
    assert page.headers["Content-Type"].startswith("text/plain")
    assert 'dispatch_jobs{state="pending"} 1.0' in page.text
    assert 'dispatch_http_problems_total{code="unknown-job"} 3.0' in page.text
    assert 'route="/jobs/{job_id}"' in page.text
    assert "job-1" not in page.text
    assert "wp-login" not in page.text


def test_metrics_tell_how_far_estimates_were_off_and_what_was_late(clock: ManualClock) -> None:
    """A ratio of time taken to the estimate by task class, and the jobs that ended behind their deadline."""
    runs = RunMetrics()
    with Dispatcher(MemoryStorage(clock), observers=[runs]) as dispatcher:
        client = TestClient(
            create_app(dispatcher, runs=runs, log=make_log(io.StringIO())), headers={"Host": "localhost"}
        )
        fleet = Fleet(client)
        lease = fleet.running(size={"duration_s": 60}, deadline={"at": "2000-01-01T00:00:00Z"})
        clock.advance(45)
        insist(fleet.report(lease), 200)
        page = client.simulate_get("/metrics").text
    assert 'dispatch_estimate_error_ratio_sum{task_class="h264/1080p/encode"} 1.5' in page
    assert 'dispatch_estimate_error_ratio_bucket{le="1.25",task_class="h264/1080p/encode"} 0.0' in page
    assert "dispatch_deadlines_missed_total 1.0" in page


def test_callers_make_no_labels_without_end() -> None:
    """Behind the hundredth task class all are counted as one."""
    runs = RunMetrics()
    done = [
        CompletedRun(engine_id="e", task_class=f"c{number}", estimate_s=1.0, took_s=1.0)
        for number in range(105)
    ]
    for _ in range(2):
        runs.committed(BatchReport(commands=1, refused=0, history=(), decide_s=0, save_s=0, completed=done))
    registry = CollectorRegistry()
    runs.register(registry)
    name = "dispatch_estimate_error_ratio_count"
    assert registry.get_sample_value(name, {"task_class": "other"}) == 10
    assert registry.get_sample_value(name, {"task_class": "c7"}) == 2
    assert registry.get_sample_value(name, {"task_class": "c104"}) is None


def test_every_request_is_one_line_in_the_log(
    fleet: Fleet, client: TestClient, log_lines: io.StringIO
) -> None:
    """Method, route template, status, time, client, actor and request id; no ids, no query."""
    client.simulate_get("/jobs/job-1", headers={"X-Request-Id": "r-1"})
    client.simulate_get("/jobs", params={"kind": "secret"})
    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    assert [line["route"] for line in lines] == ["/jobs/{job_id}", "/jobs"]
    first = lines[0]
    assert {"method", "route", "status", "ms", "client", "actor", "request_id", "problem"} <= set(first)
    assert (first["status"], first["request_id"], first["problem"]) == (404, "r-1", "unknown-job")
    assert "secret" not in log_lines.getvalue()


@pytest.mark.parametrize("json_lines", [True, False])
def test_no_text_forges_a_log_line(json_lines: bool) -> None:
    """Control characters are escaped in both formats."""
    stream = io.StringIO()
    make_log(stream, json=json_lines).info("request", detail="a\nlevel=info event=forged\x1b[2J")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    ("given", "kept"), [("r-1.a_b:c", True), ("a b", False), ("x" * 129, False), ("é", False), ("", False)]
)
def test_a_request_id_is_echoed_if_it_is_well_formed(client: TestClient, given: str, kept: bool) -> None:
    """Another one is replaced, not refused: it is only for finding things again."""
    answer = client.simulate_get("/version", headers={"X-Request-Id": given})
    assert (answer.headers["X-Request-Id"] == given) == kept
    assert answer.headers["X-Request-Id"]


def test_answers_are_not_kept_by_caches(fleet: Fleet, client: TestClient) -> None:
    """What has an entity tag may be kept if it is asked for again; the rest may not be kept at all."""
    job = fleet.submit()
    assert client.simulate_get(f"/jobs/{job['id']}").headers["Cache-Control"] == "no-cache"
    listed = client.simulate_get("/jobs")
    assert listed.headers["Cache-Control"] == "no-store"
    assert listed.headers["X-Content-Type-Options"] == "nosniff"
