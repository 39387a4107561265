"""An agent takes a job from its grant to a report, and stops when it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dispatch_cli.engine.media import verify_decodes
from dispatch_core import JobState, Outcome
from tests.cli.agent.backend import SLOW, Backend, await_that, ffmpegs
from tests.cli.agent.conftest import StartAgent


def test_a_job_becomes_a_file_and_a_result(
    backend: Backend, start_agent: StartAgent, clip: Path, tmp_path: Path
) -> None:
    """A granted job is transcoded, its output decodes, and result and usage say what was made by what."""
    target = tmp_path / "out.mp4"
    job_id = backend.submit(clip, target, codec="hevc")
    start_agent(backend.url)
    job = backend.await_state(job_id, JobState.COMPLETED)
    media = verify_decodes(target)
    result = job.result or {}
    assert result["target"] == str(target)
    assert result["size_bytes"] == target.stat().st_size == media.size_bytes
    assert (result["codec"], result["encoder"]) == ("hevc", "libx265")
    assert result["duration_s"] == pytest.approx(1.0, abs=0.1)
    attempt = backend.dispatcher.attempts(job_id)[0]
    assert attempt.outcome is Outcome.COMPLETED
    assert (attempt.usage or {})["wall_s"] > 0  # type: ignore[operator]  # usage is plain JSON


def test_slots_run_at_the_same_time_and_not_more(
    backend: Backend, start_agent: StartAgent, long_clip: Path, tmp_path: Path
) -> None:
    """An engine with two slots runs two jobs at a time and leaves the third to wait."""
    jobs = [backend.submit(long_clip, tmp_path / f"{n}.mp4", **SLOW) for n in range(3)]
    start_agent(backend.url, slots=2)
    for job_id in jobs[:2]:
        backend.await_progress(job_id)
    assert [backend.job(job_id).state for job_id in jobs] == [
        JobState.ASSIGNED,
        JobState.ASSIGNED,
        JobState.PENDING,
    ]


def test_progress_reaches_the_server(
    backend: Backend, start_agent: StartAgent, long_clip: Path, tmp_path: Path
) -> None:
    """About once a second the server hears how far the encoder is, how fast, and what it does."""
    job_id = backend.submit(long_clip, tmp_path / "out.mp4", **SLOW)
    start_agent(backend.url)
    backend.await_progress(job_id)
    first = backend.dispatcher.attempts(job_id)[0].progress
    assert first is not None
    assert 0 < first.fraction < 1
    assert first.speed
    assert first.message.startswith("encoding")

    def further() -> bool:
        later = backend.dispatcher.attempts(job_id)[0].progress
        return later is not None and later.fraction > first.fraction

    assert await_that(further, "progress moves") < 5


def test_a_cancel_stops_ffmpeg_and_leaves_nothing(
    backend: Backend, start_agent: StartAgent, long_clip: Path, tmp_path: Path
) -> None:
    """A cancelled job's ffmpeg is gone within 2 s of the agent hearing it, the lease is given back, no file is left."""
    before = sorted(path.name for path in tmp_path.iterdir())
    job_id = backend.submit(long_clip, tmp_path / "out.mp4", **SLOW)
    start_agent(backend.url)
    backend.await_progress(job_id)
    assert ffmpegs()
    started = time.monotonic()
    backend.dispatcher.cancel(job_id, reason="not wanted")
    backend.await_state(job_id, JobState.CANCELLED)
    await_that(lambda: not ffmpegs(), "ffmpeg is gone")
    assert time.monotonic() - started < 0.3 + 2.0, "one heartbeat to hear it, 2 s to stop"
    assert backend.outcomes(job_id) == ["cancelled"]
    assert {path.name for path in tmp_path.iterdir()} - {"agents.log"} == {*before} - {"agents.log"}


@pytest.mark.parametrize("source", ["missing.mp4", "server.log"])
def test_an_input_that_cannot_mend_is_reported_for_good(
    backend: Backend, start_agent: StartAgent, tmp_path: Path, source: str
) -> None:
    """A missing or undecodable source fails its job at the first attempt: no engine could do better."""
    job_id = backend.submit(tmp_path / source, tmp_path / "out.mp4")
    start_agent(backend.url)
    job = backend.await_state(job_id, JobState.FAILED_PERMANENTLY)
    assert job.attempts_used == 1
    assert job.error is not None
    assert (job.error.failure_class, job.error.retryable) == ("input", False)
    assert source in job.error.message or "Invalid data" in job.error.message


def test_an_engine_failure_is_tried_again(
    backend: Backend, start_agent: StartAgent, clip: Path, tmp_path: Path
) -> None:
    """A target in a folder that this engine lacks is its own failure: the job is retried up to its attempts."""
    job_id = backend.submit(clip, tmp_path / "missing" / "out.mp4", attempts=3)
    start_agent(backend.url)
    backend.await_state(job_id, JobState.FAILED_RETRY)
    job = backend.await_state(job_id, JobState.FAILED_PERMANENTLY)
    assert job.attempts_used == 3
    assert job.error is not None
    assert (job.error.failure_class, job.error.retryable) == ("resource", True)


def test_a_repaired_engine_succeeds_at_the_repeat(
    backend: Backend, start_agent: StartAgent, clip: Path, tmp_path: Path
) -> None:
    """What was missing is there at the second attempt: the job completes, and its history shows both."""
    folder = tmp_path / "later"
    job_id = backend.submit(clip, folder / "out.mp4", attempts=50)
    start_agent(backend.url)
    backend.await_state(job_id, JobState.FAILED_RETRY)
    folder.mkdir()
    backend.await_state(job_id, JobState.COMPLETED)
    assert backend.outcomes(job_id)[0] == "failed"
    assert backend.outcomes(job_id)[-1] == "completed"


def test_parameters_that_do_not_fit_fail_for_good(
    backend: Backend, start_agent: StartAgent, clip: Path, tmp_path: Path
) -> None:
    """A container that cannot hold the codec is the job's mistake, found before anything runs."""
    job_id = backend.submit(clip, tmp_path / "out.webm", codec="h264")
    start_agent(backend.url)
    job = backend.await_state(job_id, JobState.FAILED_PERMANENTLY)
    assert job.error is not None
    assert "webm cannot hold h264" in job.error.message


@pytest.fixture
def web(clip: Path) -> Iterator[str]:
    """The folder of the clip, served over HTTP."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(clip.parent)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_remote_source_is_fetched(
    backend: Backend, start_agent: StartAgent, web: str, clip: Path, tmp_path: Path
) -> None:
    """A source behind HTTP is transcoded like a file, and its copy is gone afterwards."""
    job_id = backend.submit(f"{web}/{clip.name}", tmp_path / "out.mp4")
    start_agent(backend.url)
    backend.await_state(job_id, JobState.COMPLETED)
    verify_decodes(tmp_path / "out.mp4")
    assert not list(tmp_path.glob("dispatch-source-*"))


def test_a_remote_source_that_is_missing_may_come_back(
    backend: Backend, start_agent: StartAgent, web: str, tmp_path: Path
) -> None:
    """What a web server does not have now, it may have later: the attempts permitted are made."""
    job_id = backend.submit(f"{web}/nothing.mp4", tmp_path / "out.mp4", attempts=2)
    start_agent(backend.url)
    job = backend.await_state(job_id, JobState.FAILED_PERMANENTLY)
    assert job.attempts_used == 2
    assert job.error is not None
    assert (job.error.failure_class, job.error.retryable) == ("input", True)
