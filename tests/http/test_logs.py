"""The log: what a request leaves in it, that no secret does, how it is written, and how it is read by API."""

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
from falcon.testing import TestClient

from dispatch_core import Dispatcher, JobSpec, ManualClock, Profile
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.logs import GrantLog, Ring, logging_to, redact
from dispatch_http.observing import make_log
from dispatch_http.settings import HttpSettings, api_key
from tests.http.fleet import Fleet, insist, problem

KEY = "a-good-key-of-some-length"
SECRETS = {
    "stored key": f"dsp_key-1_{'x7' * 26}",
    "header": f"Authorization: Bearer {KEY}",
    "older header": f"X-API-Key: {KEY}",
    "database": "postgresql://dispatch:hunter2222@db.example.org/jobs",
    "nested": {"list": [f"Bearer {KEY}"]},
    "password": "hunter2222",
    "letters that small ones stand for": "PAſSWORD=hunter2222",
}


@pytest.fixture
def kept() -> Iterator[TestClient]:
    """A server that keeps its log."""
    with Dispatcher(MemoryStorage(ManualClock())) as dispatcher:
        ring = Ring()
        app = create_app(
            dispatcher,
            HttpSettings(keys=(api_key(KEY, "ops"),)),
            log=make_log(io.StringIO(), ring=ring),
            ring=ring,
        )
        yield TestClient(app, headers={"Host": "localhost", "Authorization": f"Bearer {KEY}"})


@pytest.mark.checklist(70)
def test_a_request_leaves_one_line_with_all_its_facts(fleet: Fleet, log_lines: io.StringIO) -> None:
    """Method, route template, status, time, client, actor and request id; no id in the route, no query."""
    fleet.client.simulate_get("/jobs/job-7?secret=1", headers={"X-Request-Id": "r-1"})
    line = json.loads(log_lines.getvalue().splitlines()[-1])
    assert line.pop("ms") >= 0
    assert line.pop("timestamp").endswith("Z")
    assert {name: value for name, value in line.items() if name != "problem"} == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "route": "/jobs/{job_id}",
        "status": line["status"],
        "client": "127.0.0.1",
        "actor": "anonymous-loopback",
        "request_id": "r-1",
    }


@pytest.mark.checklist(72)
def test_the_log_is_read_by_api(kept: TestClient) -> None:
    """The latest lines, oldest first; by level, logger, time and number; unknown parameters are refused."""
    kept.simulate_get("/version", headers={"X-Request-Id": "first"})
    kept.simulate_get("/no/such/path", headers={"X-Request-Id": "second"})
    lines = insist(kept.simulate_get("/logs"), 200)["lines"]
    assert [line["request_id"] for line in lines] == ["first", "second"]
    assert [line["status"] for line in lines] == [200, 404]

    def found(query: str) -> list[object]:
        return [line["event"] for line in insist(kept.simulate_get("/logs?" + query), 200)["lines"]]

    latest = insist(kept.simulate_get("/logs?limit=1"), 200)["lines"]
    assert [line["route"] for line in latest] == ["/logs"], "the latest, not the oldest"
    assert found("level=warning") == []
    assert found("logger=dispatch_http")
    assert found("logger=dispatch") == []
    assert found("since=2999-01-01T00:00:00Z") == []
    assert found("since=2000-01-01T00:00:00Z")
    problem(kept.simulate_get("/logs?level=loud"), 400, "invalid-parameter")
    problem(kept.simulate_get("/logs", headers={"Authorization": "Bearer x"}), 401, "unauthorized")


@pytest.mark.checklist(72)
@pytest.mark.checklist(54)
@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_logged(name: str) -> None:
    """Wherever in a line a key or a password stands, it is hidden, in the stream and in the ring."""
    stream, ring = io.StringIO(), Ring()
    make_log(stream, ring=ring).info("event", **{name: SECRETS[name]}, harmless="bearer of news")
    text = stream.getvalue() + json.dumps(ring.read(limit=10))
    assert "***" in text
    assert "bearer of news" in text
    assert KEY not in text
    assert "hunter2222" not in text
    assert "x7x7" not in text


def test_redaction_leaves_the_rest_alone() -> None:
    """Numbers, ids and lease tokens are not secrets."""
    event = {"event": "request", "status": 200, "token": "in-1.3", "job": "job-1", "none": None}
    assert redact(None, "info", dict(event)) == event


def test_the_ring_forgets_the_oldest() -> None:
    """It never holds more than it may."""
    ring = Ring(lines_max=3)
    log = make_log(io.StringIO(), ring=ring)
    for number in range(10):
        log.info("event", number=number)
    assert [line["number"] for line in ring.read(limit=100)] == [7, 8, 9]


@pytest.mark.checklist(44)
@pytest.mark.checklist(69)
def test_everything_goes_through_one_queue_in_one_form() -> None:
    """Ours and the core's lines are JSON alike; another thread writes them; many cost few flushes."""

    class Stream(io.StringIO):
        flushes = 0
        writers: set[str]

        def write(self, text: str) -> int:
            self.writers.add(threading.current_thread().name)
            return super().write(text)

        def flush(self) -> None:
            self.flushes += 1

    stream, ring = Stream(), Ring()
    stream.writers = set()
    former = (list(logging.getLogger().handlers), logging.getLogger().level)
    with logging_to(ring, json=True, stream=stream) as log:
        log.info("ours", number=0)
        logging.getLogger("dispatch_core").warning("the %s", "core's")
        try:
            raise ValueError("it broke, Bearer " + KEY)
        except ValueError:
            logging.getLogger("dispatch_core").exception("trouble")
        for number in range(1_000):
            log.info("ours", number=number)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 1_003
    assert [line["event"] for line in lines[:3]] == ["ours", "the core's", "trouble"]
    assert [line["logger"] for line in lines[:2]] == ["dispatch_http", "dispatch_core"]
    assert lines[1]["level"] == "warning"
    assert "it broke, Bearer ***" in lines[2]["exception"]
    assert threading.current_thread().name not in stream.writers
    assert stream.flushes < 1_003
    assert len(ring.read(logger="dispatch_core", limit=10)) == 2
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == former


@pytest.mark.checklist(71)
def test_reasons_of_grants_are_logged_sampled_and_kept_in_full() -> None:
    """Every n-th grant is logged with its explanation; the history has that of every grant."""
    ring = Ring()
    log = make_log(io.StringIO(), ring=ring)
    with Dispatcher(MemoryStorage(ManualClock()), observers=(GrantLog(log, 3),)) as dispatcher:
        parameters = {"source": "/in/a.mov", "target": "/out/a.mp4", "codec": "h264"}
        jobs = [dispatcher.submit(JobSpec(kind="transcode", parameters=parameters)) for _ in range(5)]
        dispatcher.register(
            "engine-1",
            Profile(facts={"codec": ("h264",), "encoder": ("libx264",), "ffmpeg": "6.1"}, slots=5),
            session="s",
        )
        assert len([lease for _ in jobs for lease in dispatcher.claim("engine-1", session="s")]) == 5
        logged = [line for line in ring.read(limit=100) if line["event"] == "granted"]
        assert len(logged) == 2
        assert logged[0]["engine"] == "engine-1"
        for job in jobs:
            rows = dispatcher.history(job.id)
            reasons = [row.data["explanation"] for row in rows if row.event == "job-granted"]
            assert len(reasons) == 1
            assert reasons[0]
        assert logged[0]["why"]
