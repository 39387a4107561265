"""An engine over several servers of one store: it loses no grant, no report and no attempt to the death of one."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

import pytest
from attrs import field, frozen

from dispatch_cli.agent.client import Client
from dispatch_cli.agent.engine_agent import EngineAgent, Offer
from dispatch_cli.agent.leases import Lease
from dispatch_cli.agent.logs import make_log
from dispatch_cli.agent.runners import News, RunFailedError, WithdrawnError
from dispatch_cli.servers import Servers
from dispatch_core import JobState
from tests.cli.agent.backend import Backend, await_that
from tests.cli.agent.conftest import RunningAgent
from tests.support.relay import Relay, relayed

PROFILE = {"facts": {"codec": ["h264"], "encoder": ["libx264"], "ffmpeg": "6.1"}, "slots": 1}


@frozen
class Gated:
    """Runs that last until the gate is opened; then they fail, if the job's target says so."""

    kind: str = "transcode"
    begun: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))
    gate: threading.Event = field(factory=threading.Event)

    def prepare(self, lease: Lease, tell: Callable[[News], None], confirm: Callable[[], None]) -> GatedRun:
        """See ``Runner``."""
        return GatedRun(self, lease, tell, confirm)


@frozen
class GatedRun:
    """One of them."""

    runner: Gated
    lease: Lease
    tell: Callable[[News], None]
    confirm: Callable[[], None]
    cancelled: threading.Event = field(factory=threading.Event)

    def run(self) -> Mapping[str, object]:
        """See ``Run``."""
        self.tell(News(fraction=0.5))
        self.runner.begun.release()
        while not self.runner.gate.wait(0.02):
            if self.cancelled.is_set():
                raise WithdrawnError
        if "fail" in str(self.lease.parameters["target"]):
            raise RunFailedError("engine", "it broke")
        self.confirm()
        return {"frames": 25}

    def cancel(self) -> None:
        """See ``Run``."""
        self.cancelled.set()


@pytest.fixture
def ways(backend: Backend) -> Iterator[list[Relay]]:
    """Two ways to the same store, as two servers of it."""
    with relayed(backend.port, backend.port) as ways:
        yield ways


@pytest.fixture
def runner() -> Gated:
    return Gated()


@pytest.fixture
def said() -> io.StringIO:
    """What the engine writes to its log."""
    return io.StringIO()


@pytest.fixture
def agent(ways: Sequence[Relay], runner: Gated, said: io.StringIO) -> Iterator[RunningAgent]:
    """An engine that was told of both servers, and waits half a second where others wait five."""
    log = make_log("json", said)
    servers = Servers.parse(*(way.url for way in ways))
    offer = Offer(engine_id="e1", profile=PROFILE, slots=1, runners={runner.kind: runner})
    with closing(Client(servers, api_key=None, log=log, call_s=0.5)) as client:
        agent = RunningAgent(EngineAgent(offer, client, log, drain_grace_s=5.0, wait_s=1.0))
        yield agent
        runner.gate.set()
        for way in ways:
            way.revive()
        agent.stop()


def submit(backend: Backend, target: str = "/out/a.mp4", attempts: int = 4) -> str:
    """A job that the engine can run."""
    return backend.submit("/in/a.mov", target, attempts=attempts)  # type: ignore[arg-type]


def claims(way: Relay) -> bool:
    """Whether a claim came this way."""
    return any(b"/next_job" in each for each in way.heard)


def be_dead(way: Relay) -> None:
    """Nobody listens any more, and who was connected is cut off."""
    way.refuse()


def be_frozen(way: Relay) -> None:
    """It takes what comes and says nothing."""
    way.hang()


def shut_down(way: Relay) -> None:
    """It asks to come back much later."""
    way.be_away(retry_after_s=600)


@pytest.mark.parametrize("trouble", [be_dead, be_frozen, shut_down])
def test_an_attempt_outlives_its_server(
    trouble: Callable[[Relay], None], agent: RunningAgent, backend: Backend, ways: list[Relay], runner: Gated
) -> None:
    """The server that granted is lost while the job runs: renewed, confirmed and reported by the other, once."""
    job_id = submit(backend)
    runner.begun.acquire()
    trouble(ways[0])
    await_that(lambda: any(b"/heartbeat" in each for each in ways[1].heard), "it beats elsewhere")
    runner.gate.set()
    backend.await_state(job_id, JobState.COMPLETED)
    assert backend.outcomes(job_id) == ["completed"]


@pytest.mark.parametrize(("target", "outcome"), [("/out/a.mp4", "completed"), ("/out/fail.mp4", "failed")])
def test_a_report_whose_answer_is_lost_counts_once(
    target: str, outcome: str, agent: RunningAgent, backend: Backend, ways: list[Relay], runner: Gated
) -> None:
    """Every server does as reported and dies before it says so: the repeat is heard, and is no second report."""
    job_id = submit(backend, target, attempts=1)
    runner.begun.acquire()
    for way in ways:
        way.lose(1, b"/status HTTP/1.1")
    runner.gate.set()
    await_that(lambda: len(ways[0].lost) + len(ways[1].lost) == 2, "both answers are lost")
    await_that(lambda: backend.job(job_id).live_attempt is None, "it has ended")
    assert backend.outcomes(job_id) == [outcome]
    second = submit(backend)
    backend.await_state(second, JobState.COMPLETED)


def test_a_claim_that_moves_on_gets_one_grant(
    agent: RunningAgent, backend: Backend, ways: list[Relay], runner: Gated
) -> None:
    """A claim waits at one server, is cut off, and waits at the other with the same key: two jobs come, one is granted."""
    await_that(lambda: claims(ways[0]), "it claims")
    be_dead(ways[0])
    await_that(lambda: claims(ways[1]), "it claims elsewhere")
    jobs = [submit(backend), submit(backend)]
    runner.begun.acquire()
    assert sorted(backend.job(each).attempts_used for each in jobs) == [0, 1]
    runner.gate.set()
    for each in jobs:
        backend.await_state(each, JobState.COMPLETED)
        assert backend.outcomes(each) == ["completed"]


def test_a_grant_whose_answer_is_lost_is_fetched_from_another_server(
    agent: RunningAgent, backend: Backend, ways: list[Relay], runner: Gated
) -> None:
    """The grant was written and its server died: the other hands out the same one, not a second."""
    for way in ways:
        way.lose(1, b"\r\nLocation: /jobs/")
    job_id = submit(backend)
    runner.gate.set()
    backend.await_state(job_id, JobState.COMPLETED)
    assert len(ways[0].lost) + len(ways[1].lost) == 2
    assert backend.outcomes(job_id) == ["completed"]


def test_it_comes_back_when_the_other_goes(
    agent: RunningAgent, backend: Backend, ways: list[Relay], runner: Gated
) -> None:
    """Servers go and return one after the other, as in a rolling upgrade: each job is done once."""
    runner.gate.set()
    for going, staying in ((0, 1), (1, 0), (0, 1)):
        ways[going].be_away()
        ways[staying].revive()
        job_id = submit(backend)
        backend.await_state(job_id, JobState.COMPLETED)
        assert backend.outcomes(job_id) == ["completed"]


def test_an_engine_leaves_although_the_answer_is_lost(
    agent: RunningAgent, backend: Backend, ways: list[Relay], runner: Gated, said: io.StringIO
) -> None:
    """Its departure is repeated under the same key, and it ends in order."""
    runner.gate.set()
    backend.await_state(submit(backend), JobState.COMPLETED)
    for way in ways:
        way.lose(1, b"DELETE /engines/e1 ")
    agent.agent.leave()
    agent.join()
    assert agent.status == 0
    assert [len(way.lost) for way in ways] == [1, 1]
    assert backend.dispatcher.engine("e1").engine.seen == "left"
    assert '"left"' in said.getvalue()
