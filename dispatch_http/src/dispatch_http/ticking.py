"""The thread that lets time pass: it ticks the dispatcher until it is told to stop."""

from __future__ import annotations

import threading

from dispatch_core import ClosedError, Dispatcher, DispatchError
from dispatch_http.backing_up import Backups
from dispatch_http.heart import Heart
from dispatch_http.logs import Log
from dispatch_http.settings import HttpSettings

BACK_OFF_MAX_S = 4.0
"""Time goes on that soon after a store is back."""


class Ticking:
    """One thread. A failing store slows it down and never ends it: when the store is back, so is the time."""

    def __init__(
        self, dispatcher: Dispatcher, log: Log, heart: Heart | None = None, backups: Backups | None = None
    ) -> None:
        self._dispatcher = dispatcher
        self._heart = heart or Heart()
        self._backups = backups or Backups(dispatcher, HttpSettings())
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatch-tick", daemon=False)

    def start(self) -> None:
        """Begin to tick."""
        self._heart.beat()
        self._thread.start()

    def stop(self) -> None:
        """Finish the present tick, and the backup that is being taken; end both threads."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._backups.stop()

    def _run(self) -> None:
        period_s = self._dispatcher.settings.tick_s
        delay_s = period_s
        while not self._stop.wait(delay_s):
            delay_s = period_s if self._tick() else min(delay_s * 2, max(BACK_OFF_MAX_S, period_s))

    def _tick(self) -> bool:
        try:
            while self._dispatcher.tick().more and not self._stop.is_set():
                pass
            self._backups.take_if_due(self._log)
        except ClosedError:
            self._stop.set()
        except DispatchError as error:
            self._log.warning("tick failed", code=error.code, detail=str(error))
            return False
        except Exception:  # noqa: BLE001  # whatever it was, time must go on for everything else
            self._log.exception("tick failed")
            return False
        self._heart.beat()
        return True
