"""The other server: granian, with TLS and HTTP/2. It serves the same application from one worker process.

Everything with state lives in that worker: the store, the dispatcher and its writer, the tick. The process
that was started only watches: it passes signals on, and tells how it ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import util
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from attrs import frozen

from dispatch_core import Dispatcher
from dispatch_http.admission import WsgiApp, counted
from dispatch_http.app import DispatchApp
from dispatch_http.listening import allow_descriptors, bind
from dispatch_http.process import made_to_serve
from dispatch_http.settings import HttpSettings, SettingsError, refuse_open_door
from dispatch_http.signals import hear, outlive_the_terminal
from dispatch_http.ticking import Ticking
from dispatch_http.tls import check_server

_START_S = 60.0
_PROBE_S = 0.02
_STOP_MARGIN_S = 5.0
_HTTP2_STREAMS_MAX = 200


@frozen(kw_only=True)
class Opened:
    """What a worker serves, and how to close what it rests upon."""

    app: DispatchApp
    dispatcher: Dispatcher
    close: Callable[[], None]


Opening = Callable[[], Opened]
"""Opens the store and the rest, in the worker. It is pickled on its way there."""


def serve_granian(opening: Opening, settings: HttpSettings, announce: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT, then drain and stop. The exit status: 0 if everybody was answered in time.

    SIGHUP is ignored. A second signal ends both processes at once. Main thread only. Raises SettingsError.
    """
    refuse_open_door(settings)
    check_server(settings)
    allow_descriptors(settings.connections_max)
    port = _free_port(settings)
    # A forked worker would inherit locks and connections in whatever state they are.
    multiprocessing.set_start_method("spawn", force=True)
    here, there = multiprocessing.Pipe()
    granian = _granian(settings, port)
    watch = _Watch(granian, here, settings, port, announce)
    granian.on_startup(watch.start)
    try:
        with suppress(SystemExit):  # granian's word for a worker that ended first; ours is below
            granian.serve(target_loader=partial(_load, opening, settings, there), wrap_loader=False)
    finally:
        watch.join()
    return 0 if watch.finished else 1


def _free_port(settings: HttpSettings) -> int:
    """The port to listen on, found free: granian would share one that is taken with whoever has it."""
    with bind(settings) as probe:
        return int(probe.getsockname()[1])


def _granian(settings: HttpSettings, port: int) -> Any:
    try:
        from granian.constants import Interfaces
        from granian.http import HTTP1Settings, HTTP2Settings
        from granian.log import LogLevels
        from granian.server.mp import MPServer
    except ImportError:
        raise SettingsError("granian is not installed: pip install 'dispatch-http[granian]'") from None
    return MPServer(
        "dispatch",
        address=settings.host.strip("[]"),
        port=port,
        interface=Interfaces.WSGI,
        # One: the scheduler's memory of the ready jobs is that of one process.
        workers=1,
        blocking_threads=settings.threads,
        backpressure=settings.connections_max,
        http1_settings=HTTP1Settings(header_read_timeout=int(settings.receive_s * 1_000)),
        http2_settings=HTTP2Settings(
            max_concurrent_streams=_HTTP2_STREAMS_MAX, max_headers_size=settings.header_bytes_max
        ),
        websockets=False,
        log_level=LogLevels.error,
        ssl_cert=_path(settings.tls_cert),
        ssl_key=_path(settings.tls_key),
        workers_kill_timeout=int(_STOP_MARGIN_S),
    )


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


# ----- the process that was started


class _Watch:
    """Passes on what the worker says and what signals ask."""

    def __init__(
        self,
        granian: Any,
        line: Connection,
        settings: HttpSettings,
        port: int,
        announce: Callable[[str], None],
    ) -> None:
        self._granian = granian
        self._line = line
        self._settings = settings
        self._port = port
        self._announce = announce
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="dispatch-watch", daemon=True)
        self.finished = False

    def start(self) -> None:
        """Take over the signals from granian, which would start anew at SIGHUP; begin to watch."""
        hear(self._asked, again=self._end_at_once)
        outlive_the_terminal()
        self._thread.start()

    def _end_at_once(self, number: int) -> None:
        for worker in self._granian.wrks:
            worker.kill()
        os._exit(128 + number)

    def join(self) -> None:
        """Granian has ended: hear the worker's last word."""
        self._asked.put(0)
        if self._thread.ident is not None:
            self._thread.join(_STOP_MARGIN_S)

    def _run(self) -> None:
        grace_s = self._settings.drain_grace_s + _STOP_MARGIN_S
        if self._hears(_START_S) == "open" and self._accepts():
            self._announce(_url(self._settings, self._port))
        self._asked.get()
        with suppress(OSError):
            self._line.send("drain")
        self.finished = self._hears(grace_s) == "finished"
        self._granian.signal_handler_interrupt()

    def _hears(self, timeout_s: float) -> object:
        """The worker's next word; None if it says nothing more."""
        with suppress(EOFError, OSError):
            if self._line.poll(timeout_s):
                return self._line.recv()
        return None

    def _accepts(self) -> bool:
        """Whether the worker takes connections by now."""
        until = time.monotonic() + _START_S
        host = self._settings.host.strip("[]")
        target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # any address includes this
        while time.monotonic() < until and self._asked.empty():
            with suppress(OSError), socket.create_connection((target, self._port), timeout=1):
                return True
            time.sleep(_PROBE_S)
        return False


def _url(settings: HttpSettings, port: int) -> str:
    scheme = "http" if settings.tls_cert is None else "https"
    host = settings.host.strip("[]")
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


# ----- the worker


def _load(opening: Opening, settings: HttpSettings, line: Connection) -> WsgiApp:
    """Open everything in the worker; it is closed when the worker ends, after its last answer."""
    opened = opening()
    ticking = Ticking(opened.dispatcher, opened.app.log, opened.app.heart, opened.app.backups)

    def close() -> None:
        ticking.stop()
        opened.dispatcher.close()
        opened.app.log.info("stopped")
        opened.close()

    # Runs before the process waits for its threads, of which the tick is one.
    util.Finalize(None, close, exitpriority=100)
    threading.Thread(
        target=_obey, args=(line, opened, settings.drain_grace_s), name="dispatch-line", daemon=True
    ).start()
    ticking.start()
    opened.app.log.info("listening", server="granian", tls=settings.tls_cert is not None)
    made_to_serve()
    line.send("open")
    return counted(opened.app, opened.app.gate)


def _obey(line: Connection, opened: Opened, grace_s: float) -> None:
    """Drain when told to, or when the process that would tell is gone."""
    told = False
    with suppress(EOFError, OSError):
        told = line.recv() == "drain"
    opened.app.log.info("draining")
    opened.app.gate.drain()
    opened.dispatcher.stop_waiting()
    finished = opened.app.gate.await_nobody(time.monotonic() + grace_s)
    with suppress(OSError):
        line.send("finished" if finished else "late")
    if not told:
        os.kill(os.getpid(), signal.SIGTERM)
