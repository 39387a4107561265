"""Open the database, serve it until a signal, close it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dispatch_cli.kinds import KINDS
from dispatch_cli.local_target import core_errors
from dispatch_cli.serve_settings import ServeSettings, unfit
from dispatch_core import Dispatcher
from dispatch_core.storage import create_storage
from dispatch_http.app import DispatchApp, create_app
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings, SettingsError


def run(settings: ServeSettings, announce: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. ``announce`` hears the address once callers are let in."""
    database = settings.ours.database
    try:
        if "://" not in database:
            Path(database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with core_errors():
            storage = create_storage(database)
    except OSError as error:
        raise unfit(f"cannot make a place for {database}: {error.strerror}") from error
    try:
        dispatcher = Dispatcher(storage, settings=settings.core, kinds=KINDS, group_commit=True)
        with dispatcher:
            app = create_app(dispatcher, settings.http)
            return _Announcing(app, dispatcher, settings.http, announce).serve_forever()
    except SettingsError as error:
        raise unfit(str(error)) from error
    finally:
        storage.close()


class _Announcing(Server):
    """A server that says where it is as soon as it lets callers in."""

    def __init__(
        self,
        app: DispatchApp,
        dispatcher: Dispatcher,
        settings: HttpSettings,
        announce: Callable[[str], None],
    ) -> None:
        super().__init__(app, dispatcher, settings)
        self._announce = announce

    def start(self) -> None:
        """Start, then say it."""
        super().start()
        self._announce(self.url)
