"""Talk to a server that may be away: one try at a time, and patience where the answer matters."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx2

from dispatch_cli import __version__
from dispatch_cli.agent.logs import Log
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.transport import Answer, failure_of, segment
from dispatch_http.settings import is_loopback

T = TypeVar("T")

CALL_S: Final = 10.0
CONNECT_S: Final = 3.0
PAUSE_FIRST_S: Final = 0.1
PAUSE_MAX_S: Final = 10.0
RETRY_AFTER_MAX_S: Final = 300.0
LOST: Final = frozenset({"lease-lost", "unknown-job"})
"""Codes that mean: this attempt no longer counts."""


class AwayError(Exception):
    """No answer, or one that says to come back later. A repeat with the same key is safe."""

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Client:
    """One or several addresses of the same service, asked in turn. Thread-safe.

    Unlike the transport of the commands it never waits by itself: what an engine does meanwhile, and when it
    gives up, differs from call to call.
    """

    def __init__(self, urls: Sequence[str], *, api_key: str | None, log: Log) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._at = 0
        self._log = log
        self._away_since: float | None = None
        headers = {"User-Agent": f"dispatch-engine/{__version__}", "Accept": "application/json"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        # A proxy of the environment is not meant for this machine itself.
        local = all(is_loopback(urlsplit(url).hostname or "") for url in self._urls)
        self._http = httpx2.Client(headers=headers, trust_env=not local)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        params: Mapping[str, str] | None = None,
        key: str | None = None,
        timeout_s: float = CALL_S,
    ) -> Answer:
        """One try. Raises AwayError if a later one may succeed, CommandFailure if the server refuses."""
        url = self._urls[self._at % len(self._urls)]
        options: dict[str, Any] = {
            "params": params or {},
            "headers": {} if key is None else {"Idempotency-Key": key},
            "timeout": httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        }
        if body is not None:
            options["json"] = body
        try:
            response = self._http.request(method, url + path, **options)
            if not (response.status_code == 429 or response.status_code >= 500):
                return self._answer(response)
            away = AwayError(failure_of(response).message, _retry_after_s(response))
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, UnicodeError) as error:
            raise CommandFailure("invalid-url", f"{url}: {error}", exit_code=ExitCode.USAGE) from None
        except httpx2.TransportError as error:
            away = AwayError(f"{url}: {str(error) or type(error).__name__}")
        self._is_away(away)
        raise away

    def insist(
        self,
        method: str,
        path: str,
        *,
        hurry: threading.Event,
        patience_s: float,
        body: Mapping[str, object] | None = None,
    ) -> Answer:
        """Try until the server answers yes or no. Raises AwayError when the patience ends.

        Once there is ``hurry`` one more try is made. A key that is refused counts as being away: it may be in the
        middle of being replaced, and hours of work must not be lost to that.
        """

        def attempt() -> Answer:
            try:
                return self.call(method, path, body=body)
            except CommandFailure as failure:
                if failure.exit_code is ExitCode.UNAUTHORISED:
                    raise AwayError(failure.message) from failure
                raise

        return patiently(attempt, hurry=hurry, patience_s=patience_s)

    def _answer(self, response: httpx2.Response) -> Answer:
        if self._away_since is not None:
            self._log.info("server is back", after_s=round(time.monotonic() - self._away_since, 1))
            self._away_since = None
        if not response.is_success:
            raise failure_of(response)
        try:
            return Answer(
                response.status_code, response.json() if response.content else None, response.headers
            )
        except ValueError:
            raise AwayError("the answer is no JSON: is this a Dispatch server?") from None

    def _is_away(self, away: AwayError) -> None:
        self._at += 1
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._log.warning("server is away, going on meanwhile", reason=str(away))


class BackOff:
    """Pauses that double from 0.1 s up to a most, each cut by up to half; what the server asks for comes first."""

    def __init__(self, most_s: float = PAUSE_MAX_S) -> None:
        self._most_s = most_s
        self._next_s = PAUSE_FIRST_S

    def pause_s(self, retry_after_s: float | None = None) -> float:
        """How long to wait now."""
        own_s, self._next_s = self._next_s, min(self._next_s * 2, self._most_s)
        if retry_after_s is not None:
            return min(retry_after_s, RETRY_AFTER_MAX_S) * random.uniform(1, 1.5)  # noqa: S311  # jitter
        return own_s * random.uniform(0.5, 1)  # noqa: S311  # jitter

    def reset(self) -> None:
        """Begin anew after a success."""
        self._next_s = PAUSE_FIRST_S


def patiently(call: Callable[[], T], *, hurry: threading.Event, patience_s: float) -> T:
    """Repeat what raises AwayError, with pauses, until it does not or the patience is over.

    ``hurry`` ends a pause; one more try follows, whose AwayError is raised.
    """
    deadline = time.monotonic() + patience_s
    back_off = BackOff()
    while True:
        last = hurry.is_set() or time.monotonic() >= deadline
        try:
            return call()
        except AwayError as away:
            if last:
                raise
            hurry.wait(min(back_off.pause_s(away.retry_after_s), max(deadline - time.monotonic(), 0)))


def job_path(job_id: str, verb: str) -> str:
    """The path of something about a job."""
    return f"/jobs/{segment(job_id)}/{verb}"


def engine_path(engine_id: str, verb: str = "") -> str:
    """The path of an engine, or of something about it."""
    return f"/engines/{segment(engine_id)}" + (f"/{verb}" if verb else "")


def _retry_after_s(response: httpx2.Response) -> float | None:
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isascii() and told.isdigit() and len(told) < 7 else None
