"""Who asks servers over HTTP: repeats under one key until answered, changes servers, and logs every try."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any
from urllib.parse import quote

from attrs import define, field, frozen

from dispatch_core.testing.histories import Act, Granted, Logbook
from dispatch_core.testing.histories.witness import as_text

_JOB = ("state", "generation", "attempts_used", "live_attempt", "cancel_requested")
_ATTEMPT = ("attempt", "outcome", "ended_at")
_AGAIN = frozenset({429})
Http = http.client.HTTPConnection


class NeverAnsweredError(AssertionError):
    """No server answered for as long as the caller had patience."""


@frozen
class Heard:
    """An answer that says what happened: a 2xx or a 4xx."""

    status: int
    data: Any

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.status < 300

    @property
    def code(self) -> str:
        """Of a refusal."""
        return str(self.data.get("code", self.status)) if isinstance(self.data, dict) else str(self.status)


@define
class Caller:
    """One process; ``ports`` are those of the servers, the first of them is asked while it answers.

    Now and then it takes an answer for lost and repeats what was done, at another server.
    """

    book: Logbook
    ports: list[int]
    patience_s: float = 60.0
    answer_s: float = 1.5
    dice: Random | None = None
    _count: int = field(default=0, init=False)
    _line: Http | None = field(default=None, init=False)

    def ask(
        self,
        act: Act | None,
        method: str,
        path: str,
        body: object = None,
        *,
        wait_s: float = 0.0,
        **named: Any,
    ) -> Heard:
        """The answer to a command, which is repeated under its key until there is one. Without an act: not logged."""
        self._count += 1
        key = None if act is Act.LOOK else f"{self.book.process}-{self._count}"
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        text = None if body is None else json.dumps(body)
        until, pause_s = time.monotonic() + self.patience_s, 0.02
        again = key is not None and self.dice is not None and self.dice.random() < 0.08
        while time.monotonic() < until:
            n = 0 if act is None else self.book.invoke(act, key=key, **named)
            heard = self._try(method, path, text, headers, wait_s)
            if act is not None:
                self._log(act, n, heard)
            if heard is not None and heard.status not in _AGAIN and not (again and heard.done):
                return heard
            if heard is not None and heard.done:
                again = False
                self._turn_away()
            else:
                time.sleep(min(pause_s := 2 * pause_s, 0.3))
        raise NeverAnsweredError(f"{self.book.process}: {method} {path}")

    def _try(
        self, method: str, path: str, text: str | None, headers: Mapping[str, str], wait_s: float
    ) -> Heard | None:
        """The answer, or None if it is not known what happened; then another server is next."""
        try:
            self._line = self._line or Http("127.0.0.1", self.ports[0], timeout=self.answer_s)
            self._line.timeout = self.answer_s + wait_s
            if self._line.sock is not None:
                self._line.sock.settimeout(self.answer_s + wait_s)
            self._line.request(method, path, text, dict(headers))
            response = self._line.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._turn_away()
            return None
        if response.status >= 500:
            self._turn_away()
            return None
        return Heard(response.status, json.loads(content) if content else None)

    def _turn_away(self) -> None:
        self.close()
        self.ports.append(self.ports.pop(0))

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
        self._line = None

    def _log(self, act: Act, n: int, heard: Heard | None) -> None:
        if heard is None:
            self.book.unknown(n)
        elif not heard.done:
            self.book.fail(n, heard.code)
        elif act is Act.CLAIM:
            lease = heard.data
            self.book.ok(n, granted=_granted(lease))
        elif act in (Act.SUBMIT, Act.CANCEL, Act.REQUEUE, Act.LOOK):
            self.book.ok(n, told_of_job(heard.data), job_id=heard.data["id"])
        else:
            names = ("cancel",) if act in (Act.RENEW, Act.PROGRESS) else _ATTEMPT
            self.book.ok(n, {name: heard.data[name] for name in names})


def _granted(lease: Mapping[str, Any] | None) -> Sequence[Granted]:
    return [] if lease is None else [Granted(job_id=lease["job_id"], token=lease["token"])]


def told_of_job(form: Mapping[str, Any]) -> dict[str, object]:
    """What a log holds of a job as HTTP shows it."""
    told: dict[str, object] = {name: form[name] for name in _JOB}
    return told if form["result"] is None else told | {"result": as_text(form["result"])}


def claim_path(engine_id: str, session: str, wait_s: float) -> str:
    """Where an engine asks for work."""
    return f"/queue/next_job?engine_id={quote(engine_id)}&session={quote(session)}&wait={wait_s}"
