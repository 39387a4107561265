"""A real server, real clips and real agents, in this process or as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TextIO

import pytest

from dispatch_cli.agent.client import Client
from dispatch_cli.agent.engine_agent import EngineAgent, Offer
from dispatch_cli.agent.logs import make_log
from dispatch_cli.agent.offering import Wishes, profile_of
from dispatch_cli.agent.runners import TranscodeRunner
from dispatch_cli.engine.ffmpeg import list_encoders, locate
from dispatch_cli.engine.media import make_clip
from dispatch_cli.servers import Servers
from tests.cli.agent.backend import Backend, descendants
from tests.support.pacing import paced

PROGRAM = [sys.executable, "-c", "from dispatch_cli.main import main; main()"]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of 160x90."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(path, 1, width=160, height=90)
    return path


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty seconds of 320x180: played, more than enough to be interrupted."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    make_clip(path, 40, width=320, height=180, audio=False)
    return path


@pytest.fixture(scope="session")
def ffmpeg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ffmpeg of the agents: a real one, which takes its time where a test says so."""
    return paced(locate(), tmp_path_factory.mktemp("ffmpeg"))


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    """A server over a store in memory."""
    backend = Backend(tmp_path / "server.log")
    yield backend
    backend.close()


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[Backend]:
    """A server over a file, which survives its restarts."""
    backend = Backend(tmp_path / "server.log", tmp_path / "jobs.db")
    yield backend
    backend.close()


class RunningAgent:
    """An agent in a thread of this process."""

    def __init__(self, agent: EngineAgent) -> None:
        self.agent = agent
        self.status: int | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.status = self.agent.run()
        except BaseException as error:
            self.error = error

    def join(self, within_s: float = 15.0) -> None:
        self._thread.join(within_s)
        assert not self._thread.is_alive(), "the agent does not end"

    def stop(self) -> None:
        self.agent.leave()
        self.agent.leave()
        self.join()


StartAgent = Callable[..., RunningAgent]


@pytest.fixture
def start_agent(tmp_path: Path, ffmpeg: Path) -> Iterator[StartAgent]:
    """Start agents in this process; all are stopped at the end."""
    coders = list_encoders(ffmpeg)
    facts: dict[str, object] = {
        "ffmpeg": "9.0",
        "encoder": [coder.name for coder in coders],
        "codec": sorted({coder.codec for coder in coders}),
    }
    with ExitStack() as stack:
        log_file: TextIO = stack.enter_context((tmp_path / "agents.log").open("a", encoding="utf-8"))

        def start(
            urls: str | Sequence[str],
            engine_id: str = "e1",
            *,
            slots: int = 1,
            drain_grace_s: float = 10.0,
            wait_s: float = 1.0,
        ) -> RunningAgent:
            log = make_log("json", log_file).bind(engine=engine_id)
            servers = Servers.parse(*([urls] if isinstance(urls, str) else urls))
            client = stack.enter_context(closing(Client(servers, api_key=None, log=log)))
            runner = TranscodeRunner(ffmpeg=ffmpeg, coders=coders, scratch=tmp_path)
            profile = profile_of(facts, Wishes(slots=slots, facts={}), [], coders)
            offer = Offer(engine_id=engine_id, profile=profile, slots=slots, runners={runner.kind: runner})
            agent = RunningAgent(EngineAgent(offer, client, log, drain_grace_s=drain_grace_s, wait_s=wait_s))
            stack.callback(agent.stop)
            return agent

        yield start


class AgentProcess:
    """An agent as users run it."""

    def __init__(self, url: str, engine_id: str, log: Path, ffmpeg: Path, *options: str) -> None:
        command = ["engine", "run", "--url", url, "--id", engine_id, "--no-benchmark", *options]
        self.log = log
        with log.open("a", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                [*PROGRAM, *command],
                stdout=file,
                stderr=file,
                env={
                    **os.environ,
                    "XDG_CACHE_HOME": str(log.parent / "cache"),
                    "DISPATCH_FFMPEG": str(ffmpeg),
                },
            )

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def join(self, within_s: float = 20.0) -> int:
        return self.process.wait(within_s)

    def children(self) -> list[int]:
        """The processes it has started and those they have started."""
        return descendants(self.process.pid)


StartProcess = Callable[..., AgentProcess]


@pytest.fixture
def start_process(tmp_path: Path, ffmpeg: Path) -> Iterator[StartProcess]:
    """Start agents as processes; all are killed at the end."""
    started: list[AgentProcess] = []

    def start(url: str, engine_id: str, *options: str) -> AgentProcess:
        work_dir = ["--work-dir", str(tmp_path / f"work-{engine_id}")]
        agent = AgentProcess(url, engine_id, tmp_path / f"{engine_id}.log", ffmpeg, *work_dir, *options)
        started.append(agent)
        return agent

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait(10)
