"""Leases: lost replies, lost leases and lost servers neither lose nor double any work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatch_cli.engine.media import verify_decodes
from dispatch_cli.exits import CommandFailure
from dispatch_core import GiveBack, JobState
from tests.cli.agent.backend import A_WHILE, SLOW, Backend, await_that, ffmpegs
from tests.cli.agent.conftest import StartAgent
from tests.support.relay import Relay


@pytest.fixture
def relay(backend: Backend) -> Iterator[Relay]:
    with Relay(backend.port) as relay:
        yield relay


def test_a_lost_grant_is_fetched_again(
    backend: Backend, start_agent: StartAgent, relay: Relay, clip: Path, tmp_path: Path
) -> None:
    """When the reply to a claim is cut off, the repeat brings the same lease: one attempt, not two."""
    relay.lose(2, b"\r\nLocation: /jobs/")
    job_id = backend.submit(clip, tmp_path / "out.mp4")
    start_agent(relay.url)
    backend.await_state(job_id, JobState.COMPLETED)
    assert len(relay.lost) == 2
    assert backend.outcomes(job_id) == ["completed"]


def test_a_restarted_server_still_knows_the_lease(
    lasting: Backend, start_agent: StartAgent, long_clip: Path, tmp_path: Path
) -> None:
    """The agent encodes on while its server restarts, for longer than the lease, and the job completes once."""
    target = tmp_path / "out.mp4"
    job_id = lasting.submit(long_clip, target, **A_WHILE)
    start_agent(lasting.url)
    lasting.await_progress(job_id)
    lasting.stop()
    time.sleep(2.5)
    assert list(tmp_path.glob(".out.mp4.*.part")), "the encoder does not notice, or waits to be confirmed"
    lasting.start()
    lasting.await_state(job_id, JobState.COMPLETED)
    assert lasting.outcomes(job_id) == ["completed"]
    verify_decodes(target)


def test_a_result_waits_for_its_server(
    lasting: Backend, start_agent: StartAgent, clip: Path, tmp_path: Path
) -> None:
    """A job that ends while the server is away is confirmed, published and reported when it is back."""
    target = tmp_path / "out.mp4"
    job_id = lasting.submit(clip, target, codec="hevc", preset="slower")
    start_agent(lasting.url)
    lasting.await_state(job_id, JobState.ASSIGNED)
    lasting.stop()
    part = list(tmp_path.glob(".out.mp4.*.part"))
    await_that(lambda: not ffmpegs(), "the encoder is done")
    assert not target.exists(), "nobody has confirmed that the lease is still ours"
    lasting.start()
    lasting.await_state(job_id, JobState.COMPLETED)
    assert lasting.outcomes(job_id) == ["completed"]
    verify_decodes(target)
    assert not any(path.exists() for path in part)


def test_a_lost_lease_overwrites_nothing(
    backend: Backend, start_agent: StartAgent, long_clip: Path, tmp_path: Path
) -> None:
    """When a job was taken away and ended otherwise, its engine stops, reports nothing and leaves no file."""
    target = tmp_path / "out.mp4"
    job_id = backend.submit(long_clip, target, **SLOW)
    start_agent(backend.url)
    backend.await_progress(job_id)
    token = backend.dispatcher.attempts(job_id)[0].token
    backend.dispatcher.cancel(job_id)
    backend.dispatcher.execute(GiveBack(job_id=job_id, token=token, engine_id="e1", reason="by another"))
    await_that(lambda: not ffmpegs(), "the encoder is stopped", 3.0)
    await_that(lambda: not list(tmp_path.glob(".out.mp4.*")), "nothing is left", 2.0)
    assert not target.exists()
    assert backend.outcomes(job_id) == ["cancelled"]


def test_a_grant_nobody_received_is_given_back(
    backend: Backend, start_agent: StartAgent, clip: Path, tmp_path: Path
) -> None:
    """A lease that the server counts as ours, but that no claim of ours brought, goes back and is not counted."""
    running = start_agent(backend.url)
    await_that(lambda: bool(backend.dispatcher.engines()), "registered")
    backend.dispatcher.cordon("e1")
    await_that(lambda: running.agent._session.wanted == "cordoned", "it has heard")
    await_that(lambda: running.agent._claimer.since() is None, "no claim is open")
    stray = backend.submit(clip, tmp_path / "out.mp4")
    backend.dispatcher.resume("e1")
    session = backend.dispatcher.engine("e1").engine.session
    assert backend.dispatcher.claim("e1", session=session), "granted, and told to nobody"
    await_that(lambda: "given_back" in backend.outcomes(stray), "given back", 10)
    backend.await_state(stray, JobState.COMPLETED)
    assert backend.outcomes(stray) == ["given_back", "completed"]
    assert backend.job(stray).attempts_used == 1


def test_a_second_process_under_the_same_id_ends_the_first(
    backend: Backend, start_agent: StartAgent, long_clip: Path, tmp_path: Path
) -> None:
    """The newer process takes over; the older one stops its work and ends, saying what happened."""
    job_id = backend.submit(long_clip, tmp_path / "out.mp4", **SLOW)
    first = start_agent(backend.url, "twin")
    backend.await_progress(job_id)
    start_agent(backend.url, "twin")
    first.join()
    assert isinstance(first.error, CommandFailure)
    assert first.error.code == "session-replaced"
    backend.await_state(job_id, JobState.ASSIGNED)
    assert backend.dispatcher.engine("twin").engine.seen.value == "live"


def test_a_forgotten_engine_registers_again(
    backend: Backend, start_agent: StartAgent, clip: Path, tmp_path: Path
) -> None:
    """An engine that the server does not know any more presents itself again and goes on working."""
    start_agent(backend.url)
    await_that(lambda: bool(backend.dispatcher.engines()), "registered")
    backend.dispatcher.deregister("e1")
    await_that(lambda: bool(backend.dispatcher.engines()), "registered again", 5)
    job_id = backend.submit(clip, tmp_path / "out.mp4")
    backend.await_state(job_id, JobState.COMPLETED)


def test_an_agent_waits_for_its_server(
    lasting: Backend, start_agent: StartAgent, clip: Path, tmp_path: Path
) -> None:
    """An agent that starts before its server registers as soon as there is one."""
    job_id = lasting.submit(clip, tmp_path / "out.mp4")
    lasting.stop()
    agent = start_agent(lasting.url)
    time.sleep(0.5)
    lasting.start()
    lasting.await_state(job_id, JobState.COMPLETED)
    assert agent.status is None
