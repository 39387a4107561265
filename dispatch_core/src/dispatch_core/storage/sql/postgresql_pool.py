"""Connections to one PostgreSQL: set up so that no server can hold up another, kept, and found again after it was away."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from dispatch_core.storage.sql.postgresql_patience import NoAnswerError
from dispatch_core.storage.sql.postgresql_session import Connection, PgSession, storage_error
from dispatch_core.storage.sql.session import Watch
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError, StorageUnavailableError

CONNECTIONS_MAX = 10
"""Connections of one server, beside the one that listens."""
WAIT_S = 30.0
"""How long a caller waits for a connection while others have all of them."""
RETRY_S = (0.1, 1.0)
"""After a failed attempt to connect the next is made no sooner than a time between these, drawn anew each time."""

_RANDOM = secrets.SystemRandom()
_QUOTED = re.compile(r'"[^"]*"')

SESSION = {
    # Who stands still inside a transaction loses it, and with it its locks: a frozen server, a cut cable.
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "8s",
    "statement_timeout": "30s",
    # Every question has its index. Plans that depend on how lately a table was analyzed would scan one now and then.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "client_min_messages": "warning",
}
_LINK = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
PROGRAM = "dispatch"
"""How the names of our connections begin in ``pg_stat_activity``; the server's id follows."""


def link_of(url: str, server_id: str = "") -> dict[str, Any]:
    """What psycopg connects with, for a URL of a database. Raises InvalidCommandError.

    Whatever libpq knows may stand in the URL: several hosts, ``target_session_attrs``, ``sslmode``, ``options`` …

    >>> link = link_of("postgresql+psycopg://me@one:5432,two:5433/farm?sslmode=require")
    >>> link["host"], link["port"], link["dbname"], link["sslmode"]
    ('one,two', '5432,5433', 'farm', 'require')
    >>> link_of("postgresql://db.example/farm", "rack-1:8080")["application_name"]
    'dispatch rack-1:8080'
    """
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[2] not in ("", "psycopg"):
        problem = f"{scheme}:// is not known; use postgresql+psycopg://USER@HOST/DATABASE"
        raise InvalidCommandError([FieldProblem("/database", problem)])
    try:
        given = conninfo_to_dict(f"postgresql://{rest}")
    except psycopg.Error as error:
        raise InvalidCommandError([FieldProblem("/database", f"cannot be read: {_unread(error)}")]) from error
    ports = str(given.get("port") or "5432").split(",")
    if not all(port.isascii() and port.isdigit() and 0 < int(port) < 65536 for port in ports if port):
        raise InvalidCommandError([FieldProblem("/database", "must have a port between 1 and 65535")])
    options = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    name = " ".join(filter(None, (PROGRAM, str(given.get("application_name") or ""), server_id)))
    own = {"application_name": name, "options": f"{options} {given.get('options') or ''}".rstrip()}
    return {**_LINK, **given, **own}


def _unread(error: psycopg.Error) -> str:
    """What libpq says of a URL; what it quotes of it may be the password, unless it is the name of a parameter."""
    said = str(error).strip()
    return said if "query parameter" in said else _QUOTED.sub("…", said)


def name_of(link: Mapping[str, Any]) -> str:
    """A database in words, without its password.

    >>> name_of(link_of("postgresql+psycopg://me:secret@db.example:5432/farm"))
    'PostgreSQL farm at db.example:5432'
    """
    hosts = str(link.get("host") or link.get("hostaddr") or "its socket").split(",")
    ports = str(link.get("port") or "").split(",")
    if len(ports) < len(hosts):
        ports = ports[:1] * len(hosts)
    places = ", ".join(f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))
    return f"PostgreSQL {link.get('dbname') or link.get('user') or ''} at {places}".replace("  ", " ")


class Pool:
    """At most so many connections; the last one put back is the first to be taken again."""

    def __init__(self, link: Mapping[str, Any], *, connections_max: int = CONNECTIONS_MAX) -> None:
        self.link = link
        self.name = name_of(link)
        self.watch: Watch | None = None
        self._room = threading.BoundedSemaphore(connections_max)
        # One is left for who writes, however many read.
        self._reading = threading.BoundedSemaphore(max(connections_max - 1, 1))
        self._idle: list[PgSession] = []
        self._retry_at = 0.0
        self._life = 0
        self._closed = True
        self._process = os.getpid()
        self._is_ours: Callable[[Connection], bool] = lambda _: True

    def open(self, is_ours: Callable[[Connection], bool]) -> None:
        """Let connections be taken; ``is_ours`` looks at each new one: it may lead to another copy by now."""
        self._is_ours = is_ours
        self._closed = False

    def connect(self, **more: Any) -> Connection:
        """A connection of one's own. Raises StorageUnavailableError, at once if the last attempt was just now."""
        if time.monotonic() < self._retry_at:
            raise StorageUnavailableError(f"cannot reach {self.name}: it was away a moment ago; try again")
        try:
            connection = Connection.connect(**{**self.link, **more}, autocommit=True)
            # All integers have 64 bits: by their size, each batch would be a statement of another type.
            connection.adapters.register_dumper(int, Int8Dumper)
            connection.adapters.register_dumper(int, Int8BinaryDumper)
            # Whoever is told "accepted" is told the truth, even where the database's owner prefers speed.
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
            )
            connection.wait_for_statements()
        except psycopg.Error as error:
            self._retry_at = time.monotonic() + _RANDOM.uniform(*RETRY_S)
            raise storage_error(error, self.name, "cannot reach") from error
        return connection

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A place among those who read."""
        self._acquire(self._reading)
        try:
            yield
        finally:
            self._reading.release()

    def take(self, begin: str) -> PgSession:
        """A session inside a transaction that began with this statement."""
        self._check()
        self._acquire(self._room)
        try:
            return self._begun(begin)
        except BaseException:
            self._room.release()
            raise

    def _acquire(self, room: threading.BoundedSemaphore) -> None:
        if not room.acquire(timeout=WAIT_S):
            raise StorageUnavailableError(f"all connections to {self.name} have been busy for {WAIT_S:g} s")

    def _check(self) -> None:
        if self._process != os.getpid():
            raise StorageUnavailableError(
                f"{self.name} was opened before the fork of this process; open it here"
            )
        if self._closed:
            raise StorageUnavailableError(f"{self.name} is closed")

    def _begun(self, begin: str) -> PgSession:
        """One that was kept, unless the database has gone away since; else a new one."""
        while self._idle:
            try:
                session = self._idle.pop()
            except IndexError:
                break
            try:
                session.control(begin)
            except NoAnswerError as error:
                self.drop()  # or the next caller would wait for another one as long
                raise storage_error(error, self.name, "cannot use") from error
            except psycopg.Error:
                session.close()
            else:
                return session
        session = PgSession(self.connect(), self.name, self._watched)
        session.life = self._life
        try:
            ours = self._is_ours(session.connection)
            session.control(begin)
        except psycopg.Error as error:
            session.close()
            raise storage_error(error, self.name, "cannot use") from error
        if not ours:
            session.close()
            raise StorageUnavailableError(
                f"{self.name} has begun another life since it was opened (restored, or a standby promoted); it is opened anew"
            )
        return session

    def _watched(self, text: str, rows: int) -> None:
        if self.watch is not None:
            self.watch(text, rows)

    def put_back(self, session: PgSession) -> None:
        """A session that is not needed any more; one whose connection broke is closed."""
        session.roll_back()
        if session.usable and session.life == self._life and not self._closed:
            self._idle.append(session)
        else:
            session.close()
        self._room.release()

    def drop(self) -> None:
        """Close the connections that nobody uses; those in use are closed when they are put back."""
        self._life += 1
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Drop them, and let none be taken."""
        self._closed = True
        self.drop()
