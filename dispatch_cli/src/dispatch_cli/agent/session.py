"""This process in the eyes of the server: registration, signs of life, departure."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dispatch_cli.agent.client import AwayError, BackOff, Client, engine_path, job_path, patiently
from dispatch_cli.agent.hand import Hand
from dispatch_cli.agent.logs import Log
from dispatch_cli.exits import CommandFailure, ExitCode

FIRST_BEAT_S: Final = 1.0
LEAVE_S: Final = 3.0
PERIOD_S_MIN: Final = 0.05
SETTLE_S: Final = 2.0
SIGHTINGS_TO_RETURN: Final = 2


class Session:
    """One start of this engine. Thread-safe.

    ``wanted`` is what the operator wants of it, as last heard. ``replaced`` is set when another process has
    registered under the same id: this one must end, because everything it holds was given to others.
    """

    def __init__(self, engine_id: str, profile: Mapping[str, object], client: Client, log: Log) -> None:
        self.engine_id = engine_id
        self.id = secrets.token_hex(8)
        self.wanted = "active"
        self.replaced = threading.Event()
        self._left = False
        self._profile = profile
        self._client = client
        self._log = log

    def register(self, hurry: threading.Event) -> None:
        """Present ourselves, however long the server is away. Raises AwayError in a hurry, CommandFailure."""
        form = patiently(self._register, hurry=hurry, patience_s=float("inf"))
        self._hear(form["wanted"])
        self._log.info("registered", engine=self.engine_id, session=self.id, wanted=self.wanted)

    def _register(self) -> Mapping[str, Any]:
        body = {"session": self.id, "profile": self._profile}
        form: Mapping[str, Any] = self._client.call("PUT", engine_path(self.engine_id), body=body).form
        return form

    def beat(self, leases: Sequence[Mapping[str, str]], disk_free_bytes: int | None) -> Mapping[str, Any]:
        """One sign of life and its answer. Raises AwayError, CommandFailure; deals with a lost registration."""
        body: dict[str, object] = {"session": self.id, "leases": list(leases), "load": _load()}
        if disk_free_bytes is not None:
            body["disk_free_bytes"] = disk_free_bytes
        try:
            path = engine_path(self.engine_id, "heartbeat")
            answer = self._client.call("POST", path, body=body, brief=True)
        except CommandFailure as failure:
            self.mend(failure)
            raise
        form: Mapping[str, Any] = answer.form
        self._hear(form["wanted"])
        return form

    def mend(self, failure: CommandFailure) -> None:
        """Do what a refusal calls for: register again where we are unknown, end where we were replaced."""
        match failure.code:
            case "unknown-engine" if self._left:
                pass
            case "unknown-engine":
                self._log.warning("the server does not know this engine (any more), registering again")
                self._register()
            case "session-replaced":
                self.replaced.set()
            case _:
                self._log.error("refused", code=failure.code, reason=failure.message)

    def _hear(self, wanted: Mapping[str, Any]) -> None:
        if wanted["state"] != self.wanted:
            self._log.info("wanted", state=wanted["state"], reason=wanted["reason"], by=wanted["actor"])
        self.wanted = wanted["state"]

    def leave(self) -> None:
        """Deregister, if the server can be reached now and nobody else has taken our place."""
        until = time.monotonic() + LEAVE_S
        hurry = threading.Event()
        key = secrets.token_urlsafe(18)

        def left() -> None:
            # Deregistering names no session, so make sure first that it is still ours that would end.
            if not self._left:
                self.beat((), None)
            self._left = True
            self._client.call("DELETE", engine_path(self.engine_id), key=key, brief=True)

        try:
            patiently(left, hurry=hurry, patience_s=until - time.monotonic())
            self._log.info("left")
        except (AwayError, CommandFailure) as error:
            self._log.warning("left without a word to the server", reason=str(error))


class Heart:
    """The thread that beats: renews what is in hand, and obeys what it hears."""

    def __init__(
        self,
        session: Session,
        hand: Hand,
        client: Client,
        log: Log,
        *,
        free_bytes: Callable[[], int | None],
        claiming_since: Callable[[], float | None],
    ) -> None:
        self._session = session
        self._hand = hand
        self._client = client
        self._log = log
        self._free_bytes = free_bytes
        self._claiming_since = claiming_since
        self._back_off = BackOff()
        self._strays: dict[tuple[str, str], tuple[int, float]] = {}
        self._stop = threading.Event()
        self._period_s = FIRST_BEAT_S
        self._thread = threading.Thread(target=self._main, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stop.set()
        self._thread.join(SETTLE_S)

    def _main(self) -> None:
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            try:
                pause_s = self._beat()
                self._back_off.reset()
            except AwayError as away:
                pause_s = min(self._back_off.pause_s(away.retry_after_s), self._period_s)
            except CommandFailure:
                pause_s = self._period_s
            except Exception:  # noqa: BLE001  # whatever it was, leases must go on being renewed
                self._log.exception("a heartbeat failed")
                pause_s = self._period_s

    def _beat(self) -> float:
        """One beat; the seconds until the next."""
        works = self._hand.works()
        named = [{"job_id": each.lease.job_id, "token": each.lease.token} for each in works]
        answer = self._session.beat(named, self._free_bytes())
        for status in answer["leases"]:
            obey(self._hand, status)
        self._return_strays(answer["unnamed"])
        self._period_s = max(float(answer["next_s"]), PERIOD_S_MIN)
        return self._period_s

    def _return_strays(self, unnamed: Sequence[Mapping[str, Any]]) -> None:
        """Give back leases that the server thinks we hold, but whose reply never came.

        One that has just been granted may still be on its way to us: it must have been seen twice, and no claim
        may be open that it could be the answer to.
        """
        now = time.monotonic()
        seen: dict[tuple[str, str], tuple[int, float]] = {}
        for status in unnamed:
            name = (status["job_id"], status["token"])
            if self._hand.find(*name) is None:
                count, first = self._strays.get(name, (0, now))
                seen[name] = (count + 1, first)
        self._strays = seen
        open_since = self._claiming_since()
        for (job_id, token), (count, first) in seen.items():
            if count >= SIGHTINGS_TO_RETURN and (open_since is None or open_since > first):
                give_back(self._client, self._session.engine_id, job_id, token, "its grant never arrived")
                self._log.warning("gave back a lease whose grant never arrived", job=job_id)


def obey(hand: Hand, status: Mapping[str, Any]) -> None:
    """Do what a lease status asks for."""
    work = hand.find(status["job_id"], status["token"])
    if work is not None and status["lost"]:
        work.stop("lost")
    elif work is not None and status["cancel"]:
        work.stop("cancel")


def give_back(client: Client, engine_id: str, job_id: str, token: str, reason: str) -> None:
    """Return a lease that nobody works on. Raises AwayError; a refusal means that it is gone anyway."""
    body = {"token": token, "engine_id": engine_id, "status": "given_back", "reason": reason}
    try:
        client.call("PUT", job_path(job_id, "status"), body=body)
    except CommandFailure as failure:
        if failure.exit_code is ExitCode.UNAUTHORISED:
            raise


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None
