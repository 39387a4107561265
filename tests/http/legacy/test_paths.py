"""Every path of the older protocol: what it takes, its status, and the shape of its answer."""

import json
import re
from typing import Any

import pytest
from falcon.testing import TestClient

from dispatch_core import TRANSCODE, Dispatcher, ManualClock, Settings
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.legacy.kind import DISTCONV
from dispatch_http.settings import HttpSettings
from tests.http.fleet import Fleet, problem
from tests.http.legacy.words import FIRST, LATER, SOURCE, Older

ALWAYS = {
    "job_id": str,
    "source_url": str,
    "target_codec": str,
    "job_size": float,
    "status": str,
    "assigned_engine": str | None,
    "output_url": str | None,
    "retries": int,
    "max_retries": int,
    "priority": int,
    "resource_requirements": dict,
    "created_at": int,
    "updated_at": int,
}


def check_job(shape: dict[str, Any], **values: object) -> None:
    """Every key is there with its type, and these have these values."""
    assert {name: shape[name] for name in values} == values
    for name, kind in ALWAYS.items():
        assert isinstance(shape[name], kind), (name, shape[name])
    assert re.fullmatch(r"[^/\s]{1,64}", shape["job_id"])


# ----- the client


def test_a_submit_is_answered_with_200_and_the_job(older: Older) -> None:
    """The client takes no other status, and reads ``job_id`` as text."""
    shape = older.submit(priority=2, resource_requirements={"gpu": True})
    check_job(
        shape,
        source_url=SOURCE,
        target_codec="libx264",
        job_size=12.5,
        status="pending",
        assigned_engine=None,
        output_url=None,
        retries=0,
        max_retries=3,
        priority=2,
        resource_requirements={"gpu": True},
    )
    assert shape["created_at"] == shape["updated_at"] > 0


def test_a_submit_needs_two_fields_only(older: Older) -> None:
    """The rest has the older server's defaults, and what it does not know is dropped."""
    body = {"source_url": SOURCE, "target_codec": "an encoder of the future", "colour": "blue"}
    shape = older.told(older.post("/jobs/", body))
    check_job(shape, job_size=0.0, max_retries=3, priority=0, resource_requirements={})
    assert "colour" not in shape


def test_sizes_are_megabytes(older: Older, dispatcher: Dispatcher) -> None:
    """``job_size`` 12.5 is 12,500,000 bytes to the scheduler."""
    assert dispatcher.job(older.submit(job_size=12.5)["job_id"]).spec.size.size_bytes == 12_500_000


def test_retries_and_priority_beyond_our_bounds_are_cut(older: Older) -> None:
    """And the answer says so."""
    check_job(older.submit(max_retries=5_000, priority=-7_000), max_retries=99, priority=-100)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"source_url": None}, "/source_url"),
        ({"source_url": 7}, "/source_url"),
        ({"source_url": ""}, "/parameters/source_url"),
        ({"target_codec": ""}, "/parameters/target_codec"),
        ({"job_size": -1}, "/job_size"),
        ({"job_size": "12"}, "/job_size"),
        ({"job_size": None}, "/job_size"),
        ({"max_retries": -1}, "/max_retries"),
        ({"max_retries": 1.5}, "/max_retries"),
        ({"priority": True}, "/priority"),
        ({"resource_requirements": []}, "/resource_requirements"),
    ],
)
def test_a_submit_that_no_engine_could_do_is_refused(
    older: Older, fields: dict[str, object], pointer: str
) -> None:
    """The older server took an empty source or failed inside; here the field is named."""
    body = {"source_url": SOURCE, "target_codec": "h264", **fields}
    form = problem(older.post("/jobs/", body), 422, "invalid-command")
    assert [error["pointer"] for error in form["errors"]] == [pointer]


@pytest.mark.parametrize("text", ["{", "[1", '{"job_size": 1e400}', '{"source_url": NaN}', "\x00"])
def test_no_text_makes_the_server_fail(older: Older, client: TestClient, text: str) -> None:
    """What is no JSON is 400, on every path that reads a body."""
    for path in ("/jobs/", "/assign_job/", "/engines/heartbeat", "/engines/benchmark_result"):
        answer = client.simulate_post(path, body=text, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (path, answer.text)


def test_lists_are_arrays(older: Older, clock: ManualClock) -> None:
    """Empty or not; jobs of all states, the youngest first."""
    for path in ("/jobs/", "/engines/", "/storage_pools/"):
        assert older.told(older.call("GET", path)) == []
    jobs = []
    for _ in range(3):
        jobs.append(older.submit()["job_id"])
        clock.advance(1)
    older.start()
    older.complete(str((older.assign() or {})["job_id"]))
    shapes = older.told(older.call("GET", "/jobs/"))
    assert [shape["job_id"] for shape in shapes] == jobs[::-1]
    for shape in shapes:
        check_job(shape)
    assert [shape["status"] for shape in shapes] == ["pending", "pending", "completed"]
    assert len(older.told(older.call("GET", "/engines/"))) == 1


def test_storage_pools_are_the_present_ones(older: Older, dispatcher: Dispatcher) -> None:
    """201 and the pool; a name that can be no id gets one; a negative capacity is refused."""
    body = {"name": "archive", "capacity_gb": 1.5, "used_gb": 0.25, "path": "/mnt/archive"}
    made = older.post("/storage_pools/", body)
    assert made.status_code == 201
    assert made.json == {
        "id": "archive",
        **body,
        "created_at": dispatcher.pools.get("archive").pool.created_us // 1_000,
    }
    odd = older.post("/storage_pools/", {"name": "Archive no. 2", "capacity_gb": 7}).json
    assert (odd["name"], odd["capacity_gb"], odd["used_gb"], odd["path"]) == ("Archive no. 2", 7.0, 0.0, "")
    assert older.told(older.call("GET", "/storage_pools/")) == [made.json, odd]
    assert dispatcher.pools.get("archive").pool.spec.capacity_bytes == 1_500_000_000
    problem(older.post("/storage_pools/", body), 409, "wrong-state")
    problem(older.post("/storage_pools/", {**body, "capacity_gb": -1}), 422, "invalid-command")


def test_a_list_of_jobs_is_sent_page_by_page_as_one_array() -> None:
    """The client expects everything at once; the server holds one page of it at a time."""
    with Dispatcher(MemoryStorage(), kinds=(TRANSCODE, DISTCONV)) as dispatcher:
        older = Older(
            TestClient(create_app(dispatcher, HttpSettings(page_max=2)), headers={"Host": "localhost"})
        )
        jobs = [older.submit()["job_id"] for _ in range(5)]
        assert [shape["job_id"] for shape in older.told(older.call("GET", "/jobs/"))] == jobs[::-1]


def test_the_root_and_the_health_need_no_key(client: TestClient) -> None:
    """As old monitors expect them, for GET and HEAD."""
    assert client.simulate_get("/").text == "OK"
    assert client.simulate_get("/health").json == {"status": "healthy"}
    assert client.simulate_head("/").status_code == client.simulate_head("/health").status_code == 200


@pytest.mark.parametrize("path", ["/assign_job", "/storage_pools", "/engines/heartbeat/", "/health/"])
def test_a_slash_more_or_less_is_another_path(older: Older, path: str) -> None:
    """Nothing is redirected: a redirect could change the method."""
    assert older.post(path, {"engine_id": "engine-1"}).status_code == 404


# ----- engines


@pytest.mark.parametrize(
    "fields", [FIRST, LATER, {}, {"status": "dancing", "encoders": [1], "x": {"y": None}}]
)
def test_a_heartbeat_is_heard_whatever_it_says(older: Older, fields: dict[str, object]) -> None:
    """Any object with an ``engine_id`` is 2xx: an engine whose first one is refused gives up for good."""
    assert older.post("/engines/heartbeat", {"engine_id": "engine-1", **fields}).status_code == 200
    assert older.assign() is None


@pytest.mark.parametrize(
    "fields",
    [
        {"hostname": 7, "storage_capacity_gb": "big", "streaming_support": "yes", "supported_codecs": "h264"},
        {"hostname": "\ud800\x00", "supported_codecs": [1, "h264", "h264", "\ud800"]},
        {"hostname": "h" * 5_000, "supported_codecs": [f"codec-{number}" for number in range(500)]},
        {"storage_capacity_gb": 2**62, "engine_type": None},
    ],
)
def test_a_field_of_an_odd_type_is_left_out(older: Older, fields: dict[str, object]) -> None:
    """It never makes the heartbeat fail, nor the list of engines."""
    assert older.post("/engines/heartbeat", {"engine_id": "engine-1", **fields}).status_code == 200
    assert len(older.told(older.call("GET", "/engines/"))) == 1


@pytest.mark.parametrize("body", [{}, {"engine_id": 7}, {"engine_id": None}, [], "engine-1", None])
def test_who_does_not_say_its_name_is_refused(older: Older, body: object) -> None:
    """On all three paths of engines."""
    for path in ("/engines/heartbeat", "/engines/benchmark_result", "/assign_job/"):
        problem(older.post(path, body), 422, "invalid-command")


@pytest.mark.parametrize("name", ["", " ", "Box 7/ä", "_under", "x" * 300, "\ud800"])
def test_an_engine_may_call_itself_anything(older: Older, name: str) -> None:
    """A name that can be no id gets one; to the fleet it keeps its name."""
    older.start(name)
    job = older.submit()
    shape = older.assign(name)
    assert shape
    assert shape["job_id"] == job["job_id"]
    (engine,) = older.told(older.call("GET", "/engines/"))
    assert engine["current_job_id"] == job["job_id"]
    assert engine["engine_id"] in (name, "?", name[:255])


def test_an_engine_in_the_older_shape(older: Older) -> None:
    """What it said at its start, and what we know: it says idle while it works."""
    older.start()
    job_id = older.submit()["job_id"]
    older.assign()
    older.beat()
    (engine,) = older.told(older.call("GET", "/engines/"))
    stamp = engine.pop("last_heartbeat")
    assert isinstance(stamp, int)
    assert engine == {
        "engine_id": "engine-1",
        "engine_type": "transcoder",
        "hostname": "box-7",
        "status": "busy",
        "storage_capacity_gb": 500.0,
        "streaming_support": True,
        "supported_codecs": ["h264", "h265", "vp8", "vp9"],
        "local_job_queue": [job_id],
        "current_job_id": job_id,
    }


@pytest.mark.parametrize("seconds", [0.21, 0, -3, 1e-300, 10**15])
def test_a_benchmark_result_is_taken(older: Older, seconds: float) -> None:
    """Any number is, the older server's oddities included; an unknown engine is 404."""
    body = {"engine_id": "engine-1", "benchmark_time": seconds}
    problem(older.post("/engines/benchmark_result", body), 404, "unknown-engine")
    older.start()
    assert older.post("/engines/benchmark_result", body).status_code == 200


def test_an_assignment_has_what_the_engine_parses(older: Older) -> None:
    """Three texts that are not empty, and a size that is a number even if nobody knows it."""
    problem(older.post("/assign_job/", {"engine_id": "engine-1"}), 404, "unknown-engine")
    older.start()
    assert older.assign() is None
    body = {"source_url": SOURCE, "target_codec": "libx264"}
    job_id = older.told(older.post("/jobs/", body))["job_id"]
    shape = older.assign()
    assert shape
    check_job(shape, job_id=job_id, job_size=0.0, status="assigned", assigned_engine="engine-1")


def test_jobs_go_out_by_priority_then_age(older: Older, clock: ManualClock) -> None:
    """2 before 1 before 0, each in the order of submission."""
    jobs = []
    for priority in (0, 2, 1, 0, 2):
        jobs.append((priority, older.submit(priority=priority)["job_id"]))
        clock.advance(0.001)
    handed = []
    for number in range(5):
        older.start(f"engine-{number}")
        handed.append((older.assign(f"engine-{number}") or {})["job_id"])
    assert handed == [job_id for _, job_id in sorted(jobs, key=lambda job: -job[0])]


# ----- reports and verbs


def test_a_job_is_completed(older: Older) -> None:
    """The answer is the job as JSON."""
    older.start()
    job_id = older.submit()["job_id"]
    older.assign()
    shape = older.complete(job_id, "http://example.com/transcoded/1.mp4")
    check_job(
        shape,
        status="completed",
        output_url="http://example.com/transcoded/1.mp4",
        assigned_engine=None,
        retries=0,
    )
    assert older.job(job_id) == shape


@pytest.mark.parametrize("body", [None, {}, {"output_url": 7}, {"output_url": "\ud800\x00"}, []])
def test_a_report_is_never_refused_for_what_it_says(older: Older, body: object) -> None:
    """It is sent once only; without it the work would be done again."""
    older.start()
    job_id = older.submit()["job_id"]
    older.assign()
    assert older.told(older.post(f"/jobs/{job_id}/complete", body))["status"] == "completed"


def test_a_failure_is_tried_again_as_the_job_says(
    older: Older, clock: ManualClock, dispatcher: Dispatcher
) -> None:
    """max_retries 1 is two attempts; the message stays."""
    older.start()
    job_id = older.submit(max_retries=1)["job_id"]
    older.assign()
    first = older.fail(job_id, "no such encoder")
    check_job(first, status="failed_retry", retries=1, error_message="no such encoder")
    assert first["retry_after"] > first["updated_at"]
    clock.advance(3_600)
    dispatcher.tick()
    older.beat()
    assert (older.assign() or {})["job_id"] == job_id
    check_job(older.fail(job_id), status="failed_permanently", retries=1, max_retries=1)


@pytest.mark.parametrize("body", [None, {}, {"error_message": None}, {"error_message": ["x"]}])
def test_a_failure_needs_no_words(older: Older, body: object) -> None:
    """It counts all the same."""
    older.start()
    job_id = older.submit()["job_id"]
    older.assign()
    assert older.told(older.post(f"/jobs/{job_id}/fail", body))["error_message"]


def test_progress_is_shown(older: Older) -> None:
    """In percent; only while somebody works on the job."""
    job_id = older.submit()["job_id"]
    body = {"progress": 42.7, "message": "second pass"}
    problem(older.post(f"/jobs/{job_id}/progress", body), 409, "wrong-state")
    older.start()
    older.assign()
    told = older.told(older.post(f"/jobs/{job_id}/progress", body))
    assert told == {"job_id": job_id, "progress": 42, "message": "second pass"}
    shape = older.job(job_id)
    assert (shape["progress"], shape["progress_message"]) == (43, "second pass")
    problem(older.post(f"/jobs/{job_id}/progress", {"progress": 101}), 422, "invalid-command")


def test_a_cancel_takes_effect_at_once(older: Older) -> None:
    """The engine cannot be told, so nobody waits for it; its late report changes nothing."""
    older.start()
    waiting, running = older.submit()["job_id"], older.submit()["job_id"]
    assert (older.assign() or {})["job_id"] == waiting
    waiting, running = running, waiting
    for job_id in (waiting, running):
        check_job(older.told(older.post(f"/jobs/{job_id}/cancel")), status="cancelled", assigned_engine=None)
    assert older.complete(running)["status"] == "cancelled"
    assert older.assign() is None


def test_what_has_failed_or_was_cancelled_is_retried(older: Older) -> None:
    """From the start, with all its retries; what is completed, waits or runs is not."""
    older.start()
    job_id = older.submit()["job_id"]
    problem(older.post(f"/jobs/{job_id}/retry"), 409, "wrong-state")
    older.assign()
    problem(older.post(f"/jobs/{job_id}/retry", {"any": "thing"}), 409, "wrong-state")
    older.fail(job_id)
    check_job(older.told(older.post(f"/jobs/{job_id}/retry", {"any": "thing"})), status="pending", retries=0)
    older.told(older.post(f"/jobs/{job_id}/cancel"))
    check_job(older.told(older.post(f"/jobs/{job_id}/retry")), status="pending", retries=0)
    older.assign()
    older.complete(job_id)
    problem(older.post(f"/jobs/{job_id}/retry"), 409, "wrong-state")


@pytest.mark.parametrize("verb", ["complete", "fail", "cancel", "retry", "progress"])
def test_an_unknown_job_is_404(older: Older, fleet: Fleet, verb: str) -> None:
    """So is one of another kind, one that is deleted, and an id that none can have."""
    deleted = older.submit()["job_id"]
    older.client.simulate_delete(f"/jobs/{deleted}")
    others = [fleet.submit()["id"]] if verb != "cancel" else []
    for job_id in ("0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5B", deleted, *others):
        body = {"progress": 1} if verb == "progress" else None
        assert older.post(f"/jobs/{job_id}/{verb}", body).status_code == 404, job_id


def test_large_jobs_go_to_engines_that_stream() -> None:
    """The older engines' ``streaming_support`` is the fact the size rule reads."""
    settings = Settings(large_job_bytes=100_000_000)
    with Dispatcher(MemoryStorage(), settings=settings, kinds=(TRANSCODE, DISTCONV)) as dispatcher:
        older = Older(TestClient(create_app(dispatcher), headers={"Host": "localhost"}))
        job_id = older.submit(job_size=100)["job_id"]
        older.post("/engines/heartbeat", {"engine_id": "plain", **FIRST, "streaming_support": False})
        assert older.assign("plain") is None
        older.start("streams")
        assert (older.assign("streams") or {})["job_id"] == job_id


def test_neither_fleet_gets_the_others_jobs(older: Older, fleet: Fleet) -> None:
    """Each kind of job goes to the engines that can do it."""
    ours, theirs = fleet.submit()["id"], older.submit()["job_id"]
    fleet.register("present")
    older.start("older")
    assert fleet.claim("present")["job_id"] == ours
    assert (older.assign("older") or {})["job_id"] == theirs
    params = {"engine_id": "present", "session": "first-start"}
    assert fleet.client.simulate_post("/queue/next_job", params=params).status_code == 204
    assert json.dumps(older.told(older.call("GET", "/jobs/"))).count("job_id") == 1
