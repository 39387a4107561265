"""The real program over real targets: a database in a file, and a server on loopback."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispatch_core import Dispatcher, Profile
from dispatch_core.storage import MemoryStorage, create_storage
from dispatch_http.app import create_app
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings
from tests.cli.program import Program


@pytest.fixture(autouse=True)
def own_settings_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no file of the user who runs the tests reaches the program."""
    for name in [*os.environ]:
        if name.startswith("DISPATCH_") and not name.startswith("DISPATCH_TEST"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    with Dispatcher(MemoryStorage(), group_commit=True) as dispatcher:
        yield dispatcher
        assert dispatcher.stats().identity_holds


@pytest.fixture
def server(dispatcher: Dispatcher) -> Iterator[Server]:
    settings = HttpSettings(port=0, threads=8, drain_grace_s=2.0)
    with Server(create_app(dispatcher, settings), dispatcher, settings) as server:
        yield server
        server.stop(0)  # nobody waits for an answer any more


@pytest.fixture
def remote(server: Server) -> Program:
    """The program, speaking to a server."""
    return Program(("--url", server.url))


@pytest.fixture
def local(tmp_path: Path) -> Program:
    """The program, working on a database of its own."""
    create_storage(tmp_path / "jobs.db").close()
    return Program(("--database", str(tmp_path / "jobs.db")))


@pytest.fixture(params=["local", "remote"])
def dispatch(request: pytest.FixtureRequest) -> Program:
    """The program on either target."""
    program = request.getfixturevalue(request.param)
    assert isinstance(program, Program)
    return program


@pytest.fixture
def program() -> Program:
    """The program without a target."""
    return Program()


@pytest.fixture
def submit(dispatch: Program) -> Callable[..., str]:
    """Submit a job; its id."""

    def submit(*options: str) -> str:
        return str(dispatch.json("submit", "/in/a.mov", "/out/a.mp4", *options)["id"])

    return submit


@pytest.fixture
def engine(dispatcher: Dispatcher) -> str:
    """An engine that can do every transcode of these tests; its id and its session are the same."""
    profile = Profile(facts={"codec": ("h264", "hevc"), "encoder": ("libx264",), "ffmpeg": "6.1"}, slots=2)
    dispatcher.register("rack-7", profile, session="rack-7")
    return "rack-7"
