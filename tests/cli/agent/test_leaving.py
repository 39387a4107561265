"""Leaving: in order when asked, without a trace when killed."""

from __future__ import annotations

import signal
from pathlib import Path

from dispatch_core import JobState
from tests.cli.agent.backend import A_WHILE, SLOW, Backend, await_that
from tests.cli.agent.conftest import StartAgent, StartProcess


def alive(pids: list[int]) -> list[int]:
    """Those of the processes that still run; a zombie does not."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            continue
        found += [pid] if state != "Z" else []
    return found


def test_a_killed_agent_takes_ffmpeg_along_and_another_finishes_its_job(
    backend: Backend, start_process: StartProcess, start_agent: StartAgent, long_clip: Path, tmp_path: Path
) -> None:
    """SIGKILL leaves no encoder behind; when the lease has run out, another engine does the job and tidies up."""
    target = tmp_path / "out.mp4"
    job_id = backend.submit(long_clip, target, **SLOW)
    victim = start_process(backend.url, "victim")
    backend.await_progress(job_id)
    children = victim.children()
    assert children
    victim.signal(signal.SIGKILL)
    victim.join()
    await_that(lambda: not alive(children), "ffmpeg died with its agent", 3)
    assert list(tmp_path.glob(".out.mp4.*.part")), "what a killed agent cannot clear"
    backend.hurry(job_id)
    start_agent(backend.url, "rescuer")
    job = backend.await_state(job_id, JobState.COMPLETED)
    assert backend.outcomes(job_id) == ["expired", "completed"]
    assert job.attempts_used == 2
    assert target.exists()
    assert not list(tmp_path.glob(".out.mp4.*")), "the winner clears what the loser left"


def test_a_frozen_agent_that_wakes_overwrites_nothing(
    backend: Backend, start_process: StartProcess, start_agent: StartAgent, long_clip: Path, tmp_path: Path
) -> None:
    """An agent stopped for longer than its lease wakes after another has finished its job, and leaves the result be."""
    target = tmp_path / "out.mp4"
    job_id = backend.submit(long_clip, target, **A_WHILE)
    frozen = start_process(backend.url, "frozen")
    backend.await_progress(job_id)
    frozen.signal(signal.SIGSTOP)  # its ffmpeg goes on
    backend.hurry(job_id)
    start_agent(backend.url, "rescuer")
    backend.await_state(job_id, JobState.COMPLETED)
    result = (target.stat().st_ino, target.stat().st_mtime_ns)
    await_that(lambda: not alive(frozen.children()), "its ffmpeg is done, too")
    frozen.signal(signal.SIGCONT)
    await_that(lambda: not list(tmp_path.glob(".out.mp4.*")), "it has given up")
    frozen.signal(signal.SIGTERM)
    assert frozen.join() == 0
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == result
    assert backend.outcomes(job_id) == ["expired", "completed"]
    assert not list(tmp_path.glob(".out.mp4.*"))


def test_the_first_signal_lets_the_running_job_finish(
    backend: Backend, start_process: StartProcess, long_clip: Path, tmp_path: Path
) -> None:
    """SIGTERM: the job is finished and reported, the next one is left to others, the engine leaves, exit 0."""
    job_id = backend.submit(long_clip, tmp_path / "out.mp4", codec="h264", preset="faster")
    agent = start_process(backend.url, "e1")
    await_that(lambda: "claimed" in agent.log.read_text(encoding="utf-8"), "it has the grant")
    waiting = backend.submit(long_clip, tmp_path / "next.mp4", codec="h264")
    agent.signal(signal.SIGTERM)
    assert agent.join() == 0
    assert backend.job(job_id).state is JobState.COMPLETED
    assert backend.job(waiting).state is JobState.PENDING
    assert backend.job(waiting).attempts_used == 0
    assert backend.dispatcher.engine("e1").engine.seen.value == "left"


def test_when_the_grace_is_over_jobs_are_given_back(
    backend: Backend, start_process: StartProcess, long_clip: Path, tmp_path: Path
) -> None:
    """A job that outlasts the drain goes back uncounted, and the agent still exits with 0."""
    job_id = backend.submit(long_clip, tmp_path / "out.mp4", **SLOW)
    agent = start_process(backend.url, "e1", "--drain-grace", "500ms")
    backend.await_progress(job_id)
    children = agent.children()
    agent.signal(signal.SIGTERM)
    assert agent.join() == 0
    assert not alive(children)
    assert backend.outcomes(job_id) == ["given_back"]
    assert (backend.job(job_id).state, backend.job(job_id).attempts_used) == (JobState.PENDING, 0)
    assert not list(tmp_path.glob(".out.mp4.*"))


def test_the_second_signal_ends_it_at_once(
    backend: Backend, start_process: StartProcess, long_clip: Path, tmp_path: Path
) -> None:
    """A second Ctrl-C gives everything back without waiting for the grace, and the exit status tells of the signal."""
    job_id = backend.submit(long_clip, tmp_path / "out.mp4", **SLOW)
    agent = start_process(backend.url, "e1")
    backend.await_progress(job_id)
    agent.signal(signal.SIGINT)
    await_that(lambda: "leaving" in agent.log.read_text(encoding="utf-8"), "it drains")
    agent.signal(signal.SIGINT)
    assert agent.join(6) == 128 + signal.SIGINT
    assert backend.outcomes(job_id) == ["given_back"]


def test_an_idle_agent_leaves_at_once(backend: Backend, start_process: StartProcess) -> None:
    """A claim that waits for work does not hold up the exit."""
    agent = start_process(backend.url, "e1")
    await_that(lambda: bool(backend.dispatcher.engines()), "registered")
    agent.signal(signal.SIGTERM)
    assert agent.join(3) == 0
    assert backend.dispatcher.engine("e1").engine.seen.value == "left"


def test_an_operator_drains_an_engine(
    backend: Backend, start_agent: StartAgent, long_clip: Path, tmp_path: Path
) -> None:
    """A drained engine finishes what it runs, claims no more, deregisters and ends with 0."""
    job_id = backend.submit(long_clip, tmp_path / "out.mp4", codec="h264", preset="faster")
    agent = start_agent(backend.url)
    backend.await_state(job_id, JobState.ASSIGNED)
    waiting = backend.submit(long_clip, tmp_path / "next.mp4")
    backend.dispatcher.drain("e1", reason="new disks")
    agent.join(30)
    assert agent.status == 0
    assert backend.job(job_id).state is JobState.COMPLETED
    assert backend.job(waiting).state is JobState.PENDING
    assert backend.dispatcher.engine("e1").engine.seen.value == "left"


def test_a_cordoned_engine_waits_until_it_is_resumed(
    backend: Backend, start_agent: StartAgent, clip: Path, tmp_path: Path
) -> None:
    """Cordoned, an engine takes nothing; resumed, it goes on."""
    agent = start_agent(backend.url)
    await_that(lambda: bool(backend.dispatcher.engines()), "registered")
    backend.dispatcher.cordon("e1", reason="looking")
    await_that(lambda: agent.agent._session.wanted == "cordoned", "it has heard")
    job_id = backend.submit(clip, tmp_path / "out.mp4")
    assert backend.job(job_id).state is JobState.PENDING
    backend.dispatcher.resume("e1")
    backend.await_state(job_id, JobState.COMPLETED)
