"""The thread that asks for work: one claim at a time, each known to the server by a key of its own."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

from dispatch_cli.agent.client import AwayError, BackOff, Client, job_path, patiently
from dispatch_cli.agent.hand import Hand
from dispatch_cli.agent.leases import Lease, lease_from_form
from dispatch_cli.agent.logs import Log
from dispatch_cli.agent.session import Session, give_back
from dispatch_cli.exits import CommandFailure

WAIT_S: Final = 20.0
WAIT_SEVERAL_S: Final = 5.0
"""With several servers, so that one that hangs is noticed within 10 s."""
IDLE_S: Final = 0.25
EARLY_S: Final = 1.0
"""A "nothing" that comes sooner than this was not waited for: the server had no room for one more who waits."""
POLL_S_MAX: Final = 2.0
CLAIMS: Final = ("active", "quarantined")
"""Wanted states in which to ask for work: one that is quarantined gets a job when it is to be tried again."""


class Claimer:
    """Claims while there is room, the engine is wanted, and nobody said to leave.

    A claim keeps its key until it is answered: if a reply is lost, the repeat gets the same lease instead of a
    second one. A new key is drawn only for a new intent.
    """

    def __init__(
        self,
        session: Session,
        hand: Hand,
        client: Client,
        log: Log,
        *,
        on_lease: Callable[[Lease], None],
        wait_s: float = WAIT_S,
    ) -> None:
        self._session = session
        self._hand = hand
        self._client = client
        self._log = log
        self._on_lease = on_lease
        self._wait_s = wait_s
        self._leaving = threading.Event()
        self._accepting = threading.Lock()  # so that nothing is begun once ``stop`` has returned
        self._since: float | None = None
        self._back_off = BackOff()
        self._polling = BackOff(POLL_S_MAX)
        self._thread = threading.Thread(target=self._main, name="claimer", daemon=True)

    def since(self) -> float | None:
        """When (monotonic) the claim that is open was first sent; None if none is."""
        return self._since

    def start(self) -> None:
        """Begin to claim."""
        self._thread.start()

    def stop(self) -> None:
        """Claim no more. What an open claim still brings is given back."""
        with self._accepting:
            self._leaving.set()

    def join(self, timeout_s: float) -> None:
        """Wait until the open claim is answered."""
        self._thread.join(timeout_s)

    def _main(self) -> None:
        while not self._leaving.is_set() and not self._session.replaced.is_set():
            if self._session.wanted not in CLAIMS:
                self._leaving.wait(IDLE_S)
            elif self._hand.await_room(IDLE_S):
                self._claim()

    def _claim(self) -> None:
        self._since = time.monotonic()
        try:
            lease = self._ask(secrets.token_urlsafe(18))
            if lease is not None:
                self._accept(lease, self._since)
            elif time.monotonic() - self._since < EARLY_S:
                self._leaving.wait(self._polling.pause_s())
                return
            self._polling.reset()
            self._back_off.reset()
        except AwayError:
            pass  # we are leaving; the server ends what it may have granted when we deregister
        except CommandFailure as failure:
            self._refused(failure)
        except Exception:  # noqa: BLE001  # whatever it was, the next claim may go well
            self._log.exception("a claim failed")
            self._leaving.wait(self._back_off.pause_s())
        finally:
            self._since = None

    def _ask(self, key: str) -> Lease | None:
        def claim() -> Lease | None:
            # When leaving, the last try only fetches the answer that an earlier one may have missed.
            wait_s = 0.0 if self._leaving.is_set() else self._wait_s
            params = {
                "engine_id": self._session.engine_id,
                "session": self._session.id,
                "wait": f"{wait_s:g}",
            }
            answer = self._client.call("POST", "/queue/next_job", params=params, key=key, wait_s=wait_s)
            form = answer.form
            return None if form is None else lease_from_form(form)

        return patiently(claim, hurry=self._leaving, patience_s=float("inf"))

    def _accept(self, lease: Lease, since: float) -> None:
        if not self._is_fresh(lease, since):
            return
        with self._accepting:
            if not (self._leaving.is_set() or self._session.replaced.is_set()):
                self._log.info("claimed", job=lease.job_id, attempt=lease.attempt, kind=lease.kind)
                self._on_lease(lease)
                return
        give_back(self._client, lease.engine_id, lease.job_id, lease.token, "the engine is shutting down")

    def _is_fresh(self, lease: Lease, since: float) -> bool:
        """Whether the lease is still ours: an answer fetched after a long time away may be older than its ttl."""
        if time.monotonic() - since < lease.ttl_s:
            return True
        path = job_path(lease.job_id, "renew")
        try:
            self._client.insist("POST", path, body=lease.named, hurry=self._leaving, patience_s=float("inf"))
            return True
        except CommandFailure:
            self._log.warning("the lease had run out before its grant arrived", job=lease.job_id)
            return False

    def _refused(self, failure: CommandFailure) -> None:
        if self._leaving.is_set():
            return  # deregistering ends a claim that waits
        try:
            self._session.mend(failure)
        except (AwayError, CommandFailure) as error:
            self._log.warning("could not register again", reason=str(error))
        self._leaving.wait(self._back_off.pause_s())
