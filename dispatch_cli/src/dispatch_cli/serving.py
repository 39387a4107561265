"""Open the database, serve it until a signal, close it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import click

from dispatch_cli.kinds import KINDS
from dispatch_cli.local_target import core_errors
from dispatch_cli.serve_settings import ServeSettings, server_id, unfit
from dispatch_core import Dispatcher, Storage, StorageUnavailableError
from dispatch_core.storage import create_storage
from dispatch_http.app import DispatchApp, create_app
from dispatch_http.granian_server import Opened, serve_granian
from dispatch_http.listening import bind
from dispatch_http.logs import GrantLog, Ring, logging_to
from dispatch_http.observing import RunMetrics
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings, SettingsError
from dispatch_http.tls import check_server

_RETRY_S = 0.5


def run(settings: ServeSettings, announce: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. ``announce`` hears the address once callers are let in."""
    try:
        check_server(settings.http)
        if settings.http.port:
            return _run(settings, None, announce)
        with bind(
            settings.http
        ) as listener:  # before the store is opened, where this server is named by its port
            return _run(settings.at_port(int(listener.getsockname()[1])), listener, announce)
    except SettingsError as error:
        raise unfit(str(error)) from error


def _run(settings: ServeSettings, listener: socket.socket | None, announce: Callable[[str], None]) -> int:
    if settings.http.server == "waitress":
        with _house(settings) as (app, dispatcher):
            return _Announcing(app, dispatcher, settings.http, listener, announce).serve_forever()
    if listener is not None:
        listener.close()  # the worker binds a socket of its own
    # The worker opens it for good; what is wrong with it is better said here.
    _open(settings).close()
    return serve_granian(partial(_opened, settings), settings.http, announce)


def _open(settings: ServeSettings) -> Storage:
    database = settings.ours.database
    try:
        if "://" not in database:
            Path(database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opening = partial(
            create_storage,
            database,
            server_id=server_id(settings),
            backups=settings.http.backup_dir,
            connections_max=settings.ours.database_connections_max,
        )
        with core_errors():
            return _awaited(opening, settings.ours.database_wait_s) if _is_shared(database) else opening()
    except OSError as error:
        raise unfit(f"cannot make a place for {database}: {error.strerror}") from error


def _is_shared(database: str) -> bool:
    return database.startswith("postgres")


def _awaited(opening: Callable[[], Storage], wait_s: float) -> Storage:
    """Opened, as soon as it can be reached; what keeps it from that is said, once. Raises what it was in the end."""
    until, said = time.monotonic() + wait_s, ""
    while True:
        try:
            return opening()
        except StorageUnavailableError as error:
            if time.monotonic() >= until:
                raise
            if (why := str(error)) != said:
                click.echo(f"Waiting for the database, at most {wait_s:g} s: {why}", err=True)
                said = why
        time.sleep(_RETRY_S)


@contextmanager
def _house(settings: ServeSettings) -> Iterator[tuple[DispatchApp, Dispatcher]]:
    """The store, the log, the dispatcher and the application, open; all closed in the end."""
    storage = _open(settings)
    ring = Ring()
    with closing(storage), logging_to(ring, json=settings.http.log_json) as log:
        grants, runs = GrantLog(log, settings.http.log_grants_every), RunMetrics()
        dispatcher = Dispatcher(
            storage, settings=settings.core, kinds=KINDS, group_commit=True, observers=(grants, runs)
        )
        with dispatcher:
            yield create_app(dispatcher, settings.http, log=log, ring=ring, runs=runs), dispatcher


def _opened(settings: ServeSettings) -> Opened:
    """Everything that granian's worker serves, opened there."""
    with ExitStack() as stack:
        app, dispatcher = stack.enter_context(_house(settings))
        return Opened(app=app, dispatcher=dispatcher, close=stack.pop_all().close)


class _Announcing(Server):
    """A server that says where it is as soon as it lets callers in."""

    def __init__(
        self,
        app: DispatchApp,
        dispatcher: Dispatcher,
        settings: HttpSettings,
        listener: socket.socket | None,
        announce: Callable[[str], None],
    ) -> None:
        super().__init__(app, dispatcher, settings, listener=listener)
        self._announce = announce

    def start(self) -> None:
        """Start, then say it."""
        super().start()
        self._announce(self.url)
