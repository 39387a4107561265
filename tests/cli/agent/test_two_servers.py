"""Two servers on one PostgreSQL and an engine that knows both, all of them processes of their own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispatch_cli.engine.media import verify_decodes
from tests.cli.agent.backend import await_that
from tests.cli.agent.conftest import StartProcess
from tests.cli.program import Program
from tests.soak.killing import Server
from tests.support.postgres import free_port


@pytest.fixture
def servers(postgres_url: str, tmp_path: Path) -> Iterator[list[Server]]:
    """Two servers of one store, ready."""
    servers = [
        Server(postgres_url, free_port(), heartbeat_s=0.5).logging_to(tmp_path / f"server{number}.log")
        for number in range(2)
    ]
    for server in servers:
        server.launch()
    try:
        for server in servers:
            server.wait_until_ready(time.monotonic() + 30)
        yield servers
    finally:
        for server in servers:
            if not server.ended:
                server.thaw()
                server.kill()


def die(server: Server) -> None:
    """Without a word."""
    server.kill()


def freeze(server: Server) -> None:
    """It keeps its connections and what it has locked, and says nothing."""
    server.freeze()


@pytest.mark.soak  # `make test` has tests/chaos for the servers, and test_failover.py for the agent
@pytest.mark.parametrize("trouble", [die, freeze])
def test_jobs_outlive_a_server(
    trouble: Callable[[Server], None],
    servers: list[Server],
    start_process: StartProcess,
    clip: Path,
    tmp_path: Path,
) -> None:
    """One of two servers is lost while an engine works: commands and engine go on, every job is done once."""
    urls = [f"http://127.0.0.1:{server.port}" for server in servers]
    several, other = Program(("--url", urls[0], "--url", urls[1])), Program(("--url", urls[1]))

    def submit(name: str) -> str:
        target = tmp_path / f"{name}.mp4"
        options = ("--codec", "hevc", "--preset", "slower", "--max-attempts", "1")
        return str(several.json("submit", str(clip), str(target), *options)["id"])

    agent = start_process(" ".join(urls), "e1")
    jobs = [submit(name) for name in "ab"]
    await_that(lambda: other.json("status")["jobs"]["assigned"] == 1, "a job runs")
    trouble(servers[0])
    jobs += [submit(name) for name in "cd"]
    await_that(lambda: other.json("status")["jobs"]["completed"] == len(jobs), "all are done", 60)
    for job_id in jobs:
        assert other.json("jobs", "show", job_id)["attempts_used"] == 1
    for name in "abcd":
        verify_decodes(tmp_path / f"{name}.mp4")
    assert other.json("status")["identity_holds"]
    agent.signal(signal.SIGTERM)
    assert agent.join() == 0
    assert "server is away" in agent.log.read_text(encoding="utf-8")
