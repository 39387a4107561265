"""The real program over real targets: a database in a file, and a server on loopback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from click.testing import CliRunner, Result

from dispatch_cli.main import main
from dispatch_core import Dispatcher, Profile
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings


@frozen
class Program:
    """`dispatch` with arguments that stand before every command line."""

    before: tuple[str, ...] = ()

    def __call__(self, *arguments: str, exit_code: int = 0, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(main, [*self.before, *arguments], input=stdin)
        assert result.exit_code == exit_code, f"{arguments}: {result.exit_code}\n{result.output}{result.exception!r}"
        return result

    def json(self, *arguments: str, exit_code: int = 0, stdin: str | None = None) -> Any:
        """What it prints with --json."""
        return json.loads(self(*arguments, "--json", exit_code=exit_code, stdin=stdin).stdout)


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


@pytest.fixture
def remote(server: Server) -> Program:
    """The program, speaking to a server."""
    return Program(("--url", server.url))


@pytest.fixture
def local(tmp_path: Path) -> Program:
    """The program, working on a database of its own."""
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
    facts = {"codec": ("h264", "hevc"), "encoder": ("libx264",), "ffmpeg": "6.1"}
    dispatcher.register("rack-7", Profile(facts=facts, slots=2), session="rack-7")
    return "rack-7"
