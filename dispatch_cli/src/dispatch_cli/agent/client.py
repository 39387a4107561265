"""Talk to a server that may be away: one try at a time, and patience where the answer matters."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import httpx2

from dispatch_cli import __version__
from dispatch_cli.agent.logs import Log
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.servers import Rota, Servers
from dispatch_cli.transport import TOO_MANY, Answer, failure_of, retry_after_s, segment, sendable

T = TypeVar("T")

CALL_S: Final = 10.0
CALL_SEVERAL_S: Final = 5.0
"""With several servers: a repeat at the next one costs less than the wait for one that is frozen."""
BRIEF_S: Final = 5.0
CONNECT_S: Final = 3.0
PAUSE_FIRST_S: Final = 0.1
PAUSE_MAX_S: Final = 10.0
RETRY_AFTER_MAX_S: Final = 300.0
_PAGES: Final = frozenset({401, 403, 404, 405})
LOST: Final = frozenset({"lease-lost", "unknown-job"})
"""Codes that mean: this attempt no longer counts."""


class AwayError(Exception):
    """No answer, or one that says to come back later. A repeat with the same key is safe.

    ``retry_after_s`` is how long to wait before it: 0 if another server has not been asked yet, None if nobody said.
    """

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Client:
    """One or several servers of the same store: one is kept to until it fails, then comes the next. Thread-safe.

    Unlike the transport of the commands it never waits by itself: what an engine does meanwhile, and when it
    gives up, differs from call to call.
    """

    def __init__(
        self, servers: Servers, *, api_key: str | None, log: Log, call_s: float | None = None
    ) -> None:
        self._call_s = call_s or (CALL_S if len(servers) == 1 else CALL_SEVERAL_S)
        self._rota = Rota(servers)
        self._log = log
        self._away_since: float | None = None
        headers = {"User-Agent": f"dispatch-engine/{__version__}", "Accept": "application/json"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {sendable(api_key)}"
        self._http = httpx2.Client(headers=headers, trust_env=not servers.local, verify=servers.trust)

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
        wait_s: float = 0.0,
        brief: bool = False,
    ) -> Answer:
        """One try. Raises AwayError if a later one may succeed, CommandFailure if the server refuses.

        The server may take ``wait_s`` longer. A call that is made anew soon anyhow is ``brief``.
        """
        url = self._rota.url
        timeout_s = wait_s + (min(BRIEF_S, self._call_s) if brief else self._call_s)
        options: dict[str, Any] = {
            "params": params or {},
            "headers": {} if key is None else {"Idempotency-Key": key},
            "timeout": httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        }
        if body is not None:
            options["json"] = body
        try:
            response = self._http.request(method, url + path, **options)
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, UnicodeError) as error:
            raise CommandFailure("invalid-url", f"{url}: {error}", exit_code=ExitCode.USAGE) from None
        except httpx2.TransportError as error:
            raise self._away(url, str(error) or type(error).__name__) from error
        if response.status_code >= 500 or _of_another(response):
            raise self._away(url, failure_of(response).message, retry_after_s(response))
        return self._answer(url, response)

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

    def _answer(self, url: str, response: httpx2.Response) -> Answer:
        self._rota.answered(url)
        if self._away_since is not None:
            self._log.info("server is back", url=url, after_s=round(time.monotonic() - self._away_since, 1))
            self._away_since = None
        if response.status_code == TOO_MANY:  # no other server of this store would say otherwise
            raise AwayError(failure_of(response).message, retry_after_s(response))
        if not response.is_success:
            raise failure_of(response)
        try:
            return Answer(
                response.status_code, response.json() if response.content else None, response.headers
            )
        except ValueError:
            raise AwayError("the answer is no JSON: is this a Dispatch server?") from None

    def _away(self, url: str, why: str, later_s: float | None = None) -> AwayError:
        late = url != self._rota.url  # another thread has said so and moved on
        wait_s = self._rota.away(url, why, later_s)
        if self._away_since is None and not late:
            self._away_since = time.monotonic()
            self._log.warning("server is away, going on meanwhile", url=url, reason=why)
        return AwayError(f"{url}: {why}", wait_s)


def _of_another(response: httpx2.Response) -> bool:
    """Whether something else answers at the address, such as a proxy without its server: ours speaks JSON alone."""
    told = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    page = bool(response.content) and told != "" and not told.endswith("json")
    return page and (response.status_code < 400 or response.status_code in _PAGES)


class BackOff:
    """Pauses that double from 0.1 s up to a most, each cut by up to half; what the server asks for comes first."""

    def __init__(self, most_s: float = PAUSE_MAX_S) -> None:
        self._most_s = most_s
        self._next_s = PAUSE_FIRST_S

    def pause_s(self, retry_after_s: float | None = None) -> float:
        """How long to wait now."""
        if retry_after_s == 0:
            return 0.0
        own_s, self._next_s = self._next_s, min(self._next_s * 2, self._most_s)
        if retry_after_s is not None:
            return min(retry_after_s, RETRY_AFTER_MAX_S) * random.uniform(1, 1.5)  # noqa: S311  # jitter
        return own_s * random.uniform(0.5, 1)  # noqa: S311  # jitter

    def reset(self) -> None:
        """Begin anew after a success."""
        self._next_s = PAUSE_FIRST_S


def patiently(call: Callable[[], T], *, hurry: threading.Event, patience_s: float) -> T:
    """Repeat what raises AwayError, with pauses, until it does not or the patience is over.

    ``hurry`` ends a pause; one more try follows at every server, and the last AwayError is raised.
    """
    deadline = time.monotonic() + patience_s
    back_off = BackOff()
    while True:
        last = hurry.is_set() or time.monotonic() >= deadline
        try:
            return call()
        except AwayError as away:
            if last and away.retry_after_s != 0:
                raise
            hurry.wait(min(back_off.pause_s(away.retry_after_s), max(deadline - time.monotonic(), 0)))


def job_path(job_id: str, verb: str) -> str:
    """The path of something about a job."""
    return f"/jobs/{segment(job_id)}/{verb}"


def engine_path(engine_id: str, verb: str = "") -> str:
    """The path of an engine, or of something about it."""
    return f"/engines/{segment(engine_id)}" + (f"/{verb}" if verb else "")
