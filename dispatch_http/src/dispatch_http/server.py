"""The server: waitress around the application, the tick beside it, and a way down that cuts nobody off."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Self

from waitress import wasyncore

from dispatch_core import Dispatcher
from dispatch_http.admission import counted
from dispatch_http.app import DispatchApp
from dispatch_http.framing import StrictServer
from dispatch_http.listening import allow_descriptors, bind, refuse_newcomers
from dispatch_http.process import made_to_serve
from dispatch_http.settings import HttpSettings, refuse_open_door
from dispatch_http.signals import hear, heard, outlive_the_terminal, restore
from dispatch_http.ticking import Ticking

_SETTLE_S = 0.1
_POLL_S = 0.01
_STOP_MARGIN_S = 5.0


class Server:
    """Serves an application over one socket. ``start`` and ``stop``, or ``serve_forever``, once.

    Raises SettingsError if the settings would let strangers in, or the address cannot be had. Slow
    clients cost a connection each, not a thread, and a request must arrive within ``receive_s``; how many
    connections one address may hold, and how slowly an answer may be read, is not limited. ``listener``
    is a socket that ``bind`` made already, for who must know its port before there is a dispatcher.
    """

    def __init__(
        self,
        app: DispatchApp,
        dispatcher: Dispatcher,
        settings: HttpSettings | None = None,
        *,
        listener: socket.socket | None = None,
    ) -> None:
        self._settings = settings or HttpSettings()
        refuse_open_door(self._settings, locked=dispatcher.has_keys())
        allow_descriptors(self._settings.connections_max)
        self._dispatcher = dispatcher
        self._gate = app.gate
        self._log = app.log
        self._ticking = Ticking(dispatcher, app.log, app.heart, app.backups)
        self._listener = bind(self._settings) if listener is None else listener
        self._host, self._port = self._listener.getsockname()[:2]
        self._sockets: dict[int, Any] = {}
        self._app = counted(app, self._gate)
        self._waitress: Any = None
        self._loop = threading.Thread(target=self._serve, name="dispatch-http", daemon=True)
        self._stopped = False

    @property
    def port(self) -> int:
        """The port it listens on; never 0."""
        return int(self._port)

    @property
    def url(self) -> str:
        """Where it is reached."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen and tick, in threads of their own. When it returns, connections are accepted."""
        self._waitress = _waitress(self._app, self._settings, self._listener, self._sockets)
        self._loop.start()
        self._ticking.start()
        self._log.info("listening", url=self.url, keys=len(self._settings.keys))

    def _serve(self) -> None:
        self._waitress.run()

    def stop(self, grace_s: float | None = None) -> bool:
        """Drain, close the dispatcher, stop. Whether every request got its answer within the grace."""
        if self._stopped:
            return True
        self._stopped = True
        until = time.monotonic() + (self._settings.drain_grace_s if grace_s is None else grace_s)
        finished = self._drain(until) if self._waitress is not None else True
        self._ticking.stop()
        self._dispatcher.close()
        self._shut(until)
        self._log.info("stopped", drained=finished)
        return finished

    def _drain(self, until: float) -> bool:
        """Refuse what is new, release who waits, let the rest finish; then accept nobody any more."""
        self._log.info("draining")
        self._waitress.draining = True
        self._gate.drain()
        self._dispatcher.stop_waiting()
        finished = self._gate.await_nobody(until)
        filtered = refuse_newcomers(self._listener)
        if not filtered:
            self._listener.listen(0)  # then no more than one or two can be waiting when it closes
        time.sleep(min(_SETTLE_S, max(0.0, until - time.monotonic())))
        self._waitress.accepting = filtered
        return self._await_silence(until) and finished

    def _await_silence(self, until: float) -> bool:
        """Whether, before ``until``, all that was accepted was answered and all answers were sent."""
        quiet = 0
        while quiet < 3 and time.monotonic() < until:
            channels = list(self._waitress.active_channels.values())
            busy = any(
                channel.requests or channel.request or channel.total_outbufs_len for channel in channels
            )
            quiet = 0 if busy else quiet + 1
            time.sleep(_POLL_S)
        return quiet >= 3

    def _shut(self, until: float) -> None:
        if self._waitress is None:
            self._listener.close()
            return
        left_s = max(0.0, until - time.monotonic())
        self._waitress.task_dispatcher.shutdown(timeout=min(_STOP_MARGIN_S, left_s + 1))
        self._waitress.trigger.pull_trigger(lambda: wasyncore.close_all(self._sockets))
        self._loop.join(_STOP_MARGIN_S)

    def serve_forever(self, announce: Callable[[str], None] | None = None) -> int:
        """Serve until SIGTERM or SIGINT, then stop. The exit status: 0 if everybody was answered in time.

        ``announce`` hears the address once callers are let in. A second signal, or a stop that hangs
        beyond the grace, ends the process at once. Main thread only.
        """
        asked: SimpleQueue[int] = SimpleQueue()
        former = hear(asked, again=lambda number: os._exit(128 + number)) | outlive_the_terminal()
        try:
            self.start()
            made_to_serve()
            if announce is not None:
                announce(self.url)
            heard(asked)
            doom = threading.Timer(self._settings.drain_grace_s + _STOP_MARGIN_S, os._exit, [1])
            doom.daemon = True
            doom.start()
            finished = self.stop()
            doom.cancel()
            return 0 if finished else 1
        finally:
            restore(former)


def _waitress(app: Any, settings: HttpSettings, listener: Any, sockets: dict[int, Any]) -> StrictServer:
    return StrictServer(
        app,
        listener,
        sockets,
        settings.receive_s,
        settings.lines_bytes_max + 1,
        threads=settings.threads,
        connection_limit=settings.connections_max,
        asyncore_use_poll=True,
        asyncore_loop_timeout=1,
        channel_request_lookahead=0,
        channel_timeout=settings.idle_close_s,
        cleanup_interval=1,
        max_request_header_size=settings.header_bytes_max,
        # The application refuses bodies by its own limit, as a problem; this one stops what is far beyond.
        max_request_body_size=settings.body_bytes_max * 2 + 1,
        ident=None,
        expose_tracebacks=False,
        # Else the application would not see what a trusted proxy says; whom to trust is decided there.
        clear_untrusted_proxy_headers=not settings.trusted_proxies,
    )
