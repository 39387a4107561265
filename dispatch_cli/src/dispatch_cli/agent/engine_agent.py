"""The agent put together: it registers, works until it is told to leave, and leaves in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final

from attrs import field, frozen

from dispatch_cli.agent.claiming import WAIT_S, Claimer
from dispatch_cli.agent.client import AwayError, Client
from dispatch_cli.agent.hand import Hand
from dispatch_cli.agent.leases import Lease
from dispatch_cli.agent.logs import Log
from dispatch_cli.agent.reporting import Reporter
from dispatch_cli.agent.runners import Runner
from dispatch_cli.agent.session import Heart, Session, give_back
from dispatch_cli.agent.work import Why, Work
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_http.signals import hear, restore

POLL_S: Final = 0.1
STOP_S: Final = 8.0
"""How long stopped works may take to end: 2 s for ffmpeg, the rest for the report."""
STOP_NOW_S: Final = 4.0
FORGET_S: Final = 3.0
_NO_SIGNAL: Final = 0


@frozen(kw_only=True)
class Offer:
    """What this engine offers: its id, its profile as the server takes it, and how it runs each kind of job."""

    engine_id: str
    profile: Mapping[str, object] = field(repr=False)
    slots: int
    runners: Mapping[str, Runner]
    free_bytes: Callable[[], int | None] = lambda: None


class EngineAgent:
    """One engine. ``run`` once, in the main thread if signals are to end it.

    The first SIGTERM or SIGINT drains: no more claims, running jobs may take ``drain_grace_s``, then they are given
    back. The second ends them at once. An operator's drain has no time limit.
    """

    def __init__(
        self, offer: Offer, client: Client, log: Log, *, drain_grace_s: float, wait_s: float = WAIT_S
    ) -> None:
        self._offer = offer
        self._client = client
        self._log = log
        self._drain_grace_s = drain_grace_s
        self._hand = Hand(offer.slots)
        self._session = Session(offer.engine_id, offer.profile, client, log)
        self._leaving = threading.Event()
        self._now = threading.Event()
        self._signal = 0
        self._claimer = Claimer(self._session, self._hand, client, log, on_lease=self._begin, wait_s=wait_s)
        self._heart = Heart(
            self._session,
            self._hand,
            client,
            log,
            free_bytes=offer.free_bytes,
            claiming_since=self._claimer.since,
        )
        self._reporter = Reporter(self._hand, client, log)

    def leave(self) -> None:
        """Ask for a drain, as the first signal does; the second call asks to end at once."""
        (self._now if self._leaving.is_set() else self._leaving).set()

    def run(self) -> int:
        """Work until told to leave; the exit status. Raises CommandFailure if the server refuses this engine."""
        with self._signals():
            try:
                self._session.register(self._leaving)
            except AwayError:
                return self._status()
            for each in (self._heart, self._reporter, self._claimer):
                each.start()
            self._await_end()
            return self._depart()

    def _begin(self, lease: Lease) -> None:
        runner = self._offer.runners.get(lease.kind)
        if runner is None:
            reason = f"this engine does not run {lease.kind}"
            give_back(self._client, lease.engine_id, lease.job_id, lease.token, reason)
            return
        work = Work(lease, runner, self._client, self._log)
        self._hand.take(work)
        work.start(self._hand.drop)

    def _await_end(self) -> None:
        while not (self._leaving.is_set() or self._session.replaced.is_set() or self._drained()):
            self._leaving.wait(POLL_S)

    def _drained(self) -> bool:
        return self._session.wanted == "draining" and self._hand.await_empty(0)

    def _depart(self) -> int:
        self._claimer.stop()
        try:
            if not self._session.replaced.is_set():
                self._finish_works()
            if self._session.replaced.is_set():
                self._stop_works("lost", FORGET_S)
                raise CommandFailure(
                    "session-replaced",
                    f"another process has registered as engine {self._offer.engine_id}; this one ends",
                    exit_code=ExitCode.REFUSED,
                    hint="give every engine an id of its own with --id",
                )
        finally:
            self._heart.stop()
            self._reporter.stop()
        self._session.leave()
        self._claimer.join(FORGET_S)
        return self._status()

    def _finish_works(self) -> None:
        """Let what runs end; stop it when the grace is over, or at the second signal."""
        self._log.info("leaving", running=len(self._hand.works()))
        deadline = time.monotonic() + self._drain_grace_s
        while not self._hand.await_empty(POLL_S):
            if self._now.is_set() or time.monotonic() >= deadline or self._session.replaced.is_set():
                break
        if not self._session.replaced.is_set():
            self._stop_works("leaving", STOP_NOW_S if self._now.is_set() else STOP_S)

    def _stop_works(self, why: Why, within_s: float) -> None:
        for work in self._hand.works():
            work.stop(why)
        if not self._hand.await_empty(within_s):
            self._log.warning("not everything ended in time", running=len(self._hand.works()))

    def _status(self) -> int:
        """0 after a drain, else 128 and the number of the signal that ended it at once."""
        return 128 + self._signal if self._now.is_set() and self._signal else 0

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        asked: SimpleQueue[int] = SimpleQueue()
        threading.Thread(target=self._obey, args=(asked,), name="signals", daemon=True).start()
        former = hear(asked)
        try:
            yield
        finally:
            restore(former)
            asked.put(_NO_SIGNAL)

    def _obey(self, asked: SimpleQueue[int]) -> None:
        """Leave as the signals ask, in a thread that may take the locks which the main thread holds."""
        while (number := asked.get()) != _NO_SIGNAL:
            self._signal = number
            self.leave()
