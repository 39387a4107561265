"""Calls to servers over HTTP that survive restarts: retries, Retry-After, fail-over, idempotency keys."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

import httpx2
import stamina
from attrs import frozen

from dispatch_cli import __version__
from dispatch_cli.exits import CommandFailure, ExitCode, Problem, exit_code_of
from dispatch_cli.servers import Rota, Servers

T = TypeVar("T")

LINES_TYPE: Final = "application/x-ndjson"
ATTEMPTS_MAX: Final = 6
CONNECT_S_MAX: Final = 5.0
ROUND_S: Final = 5.0
TRY_S_MIN: Final = 0.5
JITTER: Final = 1.1
AWAY_STATUS: Final = frozenset({502, 503, 504})
TOO_MANY: Final = 429
DETAIL_CHARS_MAX: Final = 300
_START: Final = "start a server with `dispatch serve`, or name one with --url or DISPATCH_URL"


@frozen
class Answer:
    """What a server answered; ``form`` is None without a body."""

    status: int
    form: Any
    headers: Mapping[str, str]


class _TryAgain(Exception):  # noqa: N818  # a signal between two functions of this module, never an error outside
    """A failure that a repeat may cure: at another server (``away``), or only later."""

    def __init__(
        self, failure: CommandFailure, why: str, *, later_s: float | None = None, away: bool = True
    ) -> None:
        super().__init__(why)
        self.failure = failure
        self.later_s = later_s
        self.away = away


class Transport:
    """One or several servers of the same store, used one at a time. Not thread-safe.

    A call that fails for a passing reason is repeated, at the next server first if there are several,
    until ``timeout_s`` is over. Every mutating call carries an Idempotency-Key, so a repeat changes nothing.
    """

    def __init__(self, servers: Servers, *, api_key: str | None = None, timeout_s: float = 30.0) -> None:
        self._servers = servers
        self._rota = Rota(servers)
        self._timeout_s = timeout_s
        headers = {"User-Agent": f"dispatch-cli/{__version__}", "Accept": "application/json"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {sendable(api_key)}"
        self._client = httpx2.Client(headers=headers, trust_env=not servers.local, verify=servers.trust)
        stamina.instrumentation.set_on_retry_hooks(())  # by default it logs, possibly to standard output

    @property
    def url(self) -> str:
        """The address in use."""
        return self._rota.url

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        params: Mapping[str, str | int | Sequence[str] | None] | None = None,
        key: str | None = None,
        if_version: int | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """One answer of 2xx. Raises CommandFailure for every other, and if none came in time."""
        budget_s = self._timeout_s if timeout_s is None else timeout_s
        headers = {}
        if method != "GET":
            headers["Idempotency-Key"] = key or secrets.token_urlsafe(18)
        if if_version is not None:
            headers["If-Match"] = f'"{if_version}"'
        options: dict[str, Any] = {
            "headers": headers,
            "params": {name: each for name, each in (params or {}).items() if each not in (None, ())},
        }
        if body is not None:
            options["json"] = body
        return self._until(budget_s, lambda timeout: self._once(method, path, options, timeout))

    def send_lines(
        self, path: str, forms: Sequence[Mapping[str, object]], *, key: str | None = None
    ) -> list[dict[str, Any]]:
        """The form that each of some forms is answered with; all of them are sent again if they must be."""
        options: dict[str, Any] = {
            "headers": {
                "Content-Type": LINES_TYPE,
                "Accept": LINES_TYPE,
                "Idempotency-Key": key or secrets.token_urlsafe(18),
            },
            "content": "".join(json.dumps(form) + "\n" for form in forms).encode(),
        }
        answer = self._until(self._timeout_s, lambda timeout: self._once("POST", path, options, timeout))
        return cast("list[dict[str, Any]]", answer.form)

    def lines(self, path: str, params: Mapping[str, str | int | None]) -> Iterator[str]:
        """The lines of an answer, as they arrive. Raises CommandFailure if it does not come or is cut off.

        It is asked for again like any call until it begins to come, and not after.
        """
        options: dict[str, Any] = {
            "headers": {"Accept": LINES_TYPE},
            "params": {name: each for name, each in params.items() if each is not None},
        }
        response = self._until(self._timeout_s, lambda timeout: self._opened(path, options, timeout))
        try:
            yield from _split(response.iter_bytes())
        except httpx2.TransportError as error:
            message = f"{self.url} did not send all of it: {error}"
            raise CommandFailure("cut-off", message, exit_code=ExitCode.UNAVAILABLE) from error
        finally:
            response.close()

    def _opened(self, path: str, options: Mapping[str, Any], timeout: httpx2.Timeout) -> httpx2.Response:
        url = self.url
        try:
            request = self._client.build_request("GET", f"{url}{path}", **options, timeout=timeout)
            response = self._client.send(request, stream=True)
            if not response.is_success:
                response.read()
        except httpx2.TransportError as error:
            raise _unreachable(url, error) from error
        self._check(url, response)
        return response

    def _once(self, method: str, path: str, options: Mapping[str, Any], timeout: httpx2.Timeout) -> Answer:
        url = self.url
        try:
            response = self._client.request(method, f"{url}{path}", **options, timeout=timeout)
        except httpx2.TransportError as error:
            raise _unreachable(url, error) from error
        self._check(url, response)
        return Answer(response.status_code, self._form(response), response.headers)

    def _check(self, url: str, response: httpx2.Response) -> None:
        """Raises what an answer other than 2xx stands for."""
        if response.status_code in AWAY_STATUS:
            failure = failure_of(response)
            raise _TryAgain(failure, failure.message, later_s=retry_after_s(response))
        self._rota.answered(url)
        if response.status_code == TOO_MANY:
            failure = failure_of(response)
            raise _TryAgain(failure, failure.message, later_s=retry_after_s(response), away=False)
        if not response.is_success:
            raise failure_of(response)

    def _until(self, budget_s: float, call: Callable[[httpx2.Timeout], T]) -> T:
        """The first answer that is no reason to ask again. Raises CommandFailure when tries or time are used up."""
        deadline = time.monotonic() + budget_s

        def wait(error: Exception) -> bool | float:
            if not isinstance(error, _TryAgain):
                return False
            wait_s = self._rota.away(self.url, str(error), error.later_s) if error.away else error.later_s
            left_s = deadline - time.monotonic()
            if not wait_s:
                return left_s > 0 if wait_s is None else 0.0
            wait_s *= random.uniform(1, JITTER)  # noqa: S311  # so that not all come back at once
            return wait_s if wait_s < left_s else False

        tries = stamina.retry_context(
            on=wait,
            attempts=ATTEMPTS_MAX * len(self._servers),
            timeout=budget_s,
            wait_initial=0.1,
            wait_max=2.0,
            wait_jitter=0.1,
        )
        try:
            for attempt in tries:
                with attempt:
                    return call(self._timeout(deadline - time.monotonic(), attempt.num - 1))
        except _TryAgain as error:
            raise self._given_up(error) from error.__cause__
        raise AssertionError("unreachable: an attempt returns or raises")

    def _timeout(self, left_s: float, failed: int) -> httpx2.Timeout:
        """How long one try may take: all that is left, or a share of it while others have not been asked.

        One that hangs costs 5 s in the first round and twice as much in each that follows, so what only takes its
        time gets it in the end.
        """
        count = len(self._servers)
        round_, position = divmod(failed, count)
        share_s = left_s if count == 1 else min(left_s / (count - position), ROUND_S * 2**round_)
        share_s = max(share_s, TRY_S_MIN)
        return httpx2.Timeout(share_s, connect=min(share_s, CONNECT_S_MAX))

    def _given_up(self, last: _TryAgain) -> CommandFailure:
        """The last failure; of several servers, what each of them failed with."""
        if len(self._servers) == 1 or not last.away:
            return last.failure
        told = "; ".join(f"{url}: {why}" for url, why in self._rota.reasons())
        message = f"none of {len(self._servers)} servers can be asked: {told}"
        return CommandFailure(
            "unreachable",
            message,
            exit_code=ExitCode.UNAVAILABLE,
            request_id=last.failure.request_id,
            hint=_START,
        )

    def _form(self, response: httpx2.Response) -> Any:
        if not response.content:
            return None
        try:
            if response.headers.get("Content-Type") == LINES_TYPE:
                return [json.loads(line) for line in _split(iter([response.content]))]
            return response.json()
        except ValueError:
            message = f"{self.url} does not answer as a Dispatch server does"
            raise CommandFailure("not-dispatch", message, exit_code=ExitCode.UNAVAILABLE) from None


def _split(chunks: Iterator[bytes]) -> Iterator[str]:
    """Lines end with a line feed and nothing else: texts in them may hold other separators."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8") for line in whole)
    if rest:
        yield rest.decode("utf-8")


def failure_of(response: httpx2.Response) -> CommandFailure:
    """The failure that an answer other than 2xx tells of: a problem document, or whatever else there is."""
    try:
        told = response.json()
    except ValueError:
        told = {}
    status = response.status_code
    failure = failure_told(told if isinstance(told, dict) else {}, status, response.reason_phrase)
    failure.request_id = failure.request_id or response.headers.get("X-Request-Id")
    return failure


def failure_told(told: Mapping[str, Any], status: int, phrase: str = "") -> CommandFailure:
    """The failure that a problem document tells of."""
    code = str(told.get("code") or "")
    message = str(told.get("detail") or told.get("title") or f"{status} {phrase}")
    entries = told.get("errors")
    hint = "name the key's file with --api-key-file, or set DISPATCH_API_KEY" if status == 401 else ""
    return CommandFailure(
        code or f"http-{status}",
        message[:DETAIL_CHARS_MAX],
        exit_code=exit_code_of(code, status),
        problems=[
            Problem(str(each.get("pointer", "")), str(each.get("detail", "")))
            for each in (entries if isinstance(entries, list) else [])
            if isinstance(each, dict)
        ],
        request_id=told.get("request_id"),
        hint=hint,
    )


def segment(identifier: str) -> str:
    """An id as one segment of a path. Raises CommandFailure for what could name another path.

    >>> segment("engine 1/2")
    'engine%201%2F2'
    """
    if identifier.strip(".") == "":
        raise CommandFailure("not-found", f"{identifier!r} is not an id", exit_code=ExitCode.NOT_FOUND)
    return quote(identifier, safe="")


def _unreachable(url: str, error: httpx2.TransportError) -> _TryAgain:
    why = "no answer in time" if isinstance(error, httpx2.TimeoutException) else str(error)
    why = why or type(error).__name__
    failure = CommandFailure(
        "unreachable", f"cannot reach {url}: {why}", exit_code=ExitCode.UNAVAILABLE, hint=_START
    )
    return _TryAgain(failure, why)


def retry_after_s(response: httpx2.Response) -> float | None:
    """In how many seconds the server asks to come back; None if it does not say."""
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isascii() and told.isdigit() and len(told) < 7 else None


def sendable(api_key: str) -> str:
    """The key, if a header can carry it. Raises CommandFailure."""
    if not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key and api_key):
        message = "the API key must be printable ASCII without spaces around it"
        raise CommandFailure("invalid-key", message, exit_code=ExitCode.USAGE)
    return api_key
