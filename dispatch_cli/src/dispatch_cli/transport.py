"""Calls to servers over HTTP that survive restarts: retries, Retry-After, fail-over, idempotency keys."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
import stamina
from attrs import frozen

from dispatch_cli import __version__
from dispatch_cli.exits import CommandFailure, ExitCode, Problem, exit_code_of

T = TypeVar("T")

LINES_TYPE: Final = "application/x-ndjson"
ATTEMPTS_MAX: Final = 6
CONNECT_S_MAX: Final = 5.0
RETRIED_STATUS: Final = frozenset({429, 502, 503, 504})
DETAIL_CHARS_MAX: Final = 300


@frozen
class Answer:
    """What a server answered; ``form`` is None without a body."""

    status: int
    form: Any
    headers: Mapping[str, str]


class _TryAgain(Exception):  # noqa: N818  # a signal between two functions of this module, never an error outside
    """A failure that a repeat may cure."""

    def __init__(self, failure: CommandFailure, retry_after_s: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.retry_after_s = retry_after_s


class Transport:
    """One or several addresses of the same service, used one at a time. Not thread-safe.

    A call that fails for a passing reason is repeated, at the next address first if there are several,
    until ``timeout_s`` is over. Every mutating call carries an Idempotency-Key, so a repeat changes nothing.
    """

    def __init__(self, urls: Sequence[str], *, api_key: str | None = None, timeout_s: float = 30.0) -> None:
        self._urls = [_checked(url) for url in urls]
        self._at = 0
        self._timeout_s = timeout_s
        headers = {"User-Agent": f"dispatch-cli/{__version__}", "Accept": "application/json"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {_sendable(api_key)}"
        # A proxy of the environment is not meant for this machine itself.
        self._client = httpx2.Client(headers=headers, trust_env=not all(map(_is_loopback, self._urls)))
        stamina.instrumentation.set_on_retry_hooks(())  # by default it logs, possibly to standard output

    @property
    def url(self) -> str:
        """The address in use."""
        return self._urls[self._at]

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
            "timeout": httpx2.Timeout(budget_s / len(self._urls), connect=min(budget_s, CONNECT_S_MAX)),
        }
        if body is not None:
            options["json"] = body
        return self._until(budget_s, lambda: self._once(method, path, options))

    def lines(self, path: str, params: Mapping[str, str | int | None]) -> Iterator[str]:
        """The lines of an answer, as they arrive. Raises CommandFailure if it does not come or is cut off.

        It is asked for again like any call until it begins to come, and not after.
        """
        options: dict[str, Any] = {
            "headers": {"Accept": LINES_TYPE},
            "params": {name: each for name, each in params.items() if each is not None},
            "timeout": httpx2.Timeout(self._timeout_s, connect=min(self._timeout_s, CONNECT_S_MAX)),
        }
        response = self._until(self._timeout_s, lambda: self._opened(path, options))
        try:
            yield from _split(response.iter_bytes())
        except httpx2.TransportError as error:
            message = f"{self.url} did not send all of it: {error}"
            raise CommandFailure("cut-off", message, exit_code=ExitCode.UNAVAILABLE) from error
        finally:
            response.close()

    def _opened(self, path: str, options: Mapping[str, Any]) -> httpx2.Response:
        try:
            request = self._client.build_request("GET", f"{self.url}{path}", **options)
            response = self._client.send(request, stream=True)
            if not response.is_success:
                response.read()
        except httpx2.TransportError as error:
            raise _TryAgain(_unreachable(self.url, error)) from error
        if not response.is_success:
            raise self._refused(response)
        return response

    def _until(self, budget_s: float, call: Callable[[], T]) -> T:
        deadline = time.monotonic() + budget_s
        attempts = ATTEMPTS_MAX * len(self._urls)
        failed = 0

        def wait(error: Exception) -> bool | float:
            nonlocal failed
            if not isinstance(error, _TryAgain):
                return False
            failed += 1
            self._at = (self._at + 1) % len(self._urls)
            if failed % len(self._urls) != 0:
                return 0.0  # another address has not been asked in this round
            if error.retry_after_s is None:
                return time.monotonic() < deadline
            return error.retry_after_s if time.monotonic() + error.retry_after_s < deadline else False

        try:
            for attempt in stamina.retry_context(
                on=wait, attempts=attempts, timeout=budget_s, wait_initial=0.1, wait_max=2.0, wait_jitter=0.1
            ):
                with attempt:
                    return call()
        except _TryAgain as error:
            raise error.failure from error.__cause__
        raise AssertionError("unreachable: an attempt returns or raises")

    def _once(self, method: str, path: str, options: Mapping[str, Any]) -> Answer:
        try:
            response = self._client.request(method, f"{self.url}{path}", **options)
        except httpx2.TransportError as error:
            raise _TryAgain(_unreachable(self.url, error)) from error
        if response.is_success:
            return Answer(response.status_code, self._form(response), response.headers)
        raise self._refused(response)

    def _refused(self, response: httpx2.Response) -> Exception:
        failure = failure_of(response)
        if response.status_code in RETRIED_STATUS:
            return _TryAgain(failure, _retry_after_s(response))
        return failure

    def _form(self, response: httpx2.Response) -> Any:
        if not response.content:
            return None
        try:
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
    told = told if isinstance(told, dict) else {}
    status = response.status_code
    code = str(told.get("code") or "")
    message = str(told.get("detail") or told.get("title") or f"{status} {response.reason_phrase}")
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
        request_id=told.get("request_id") or response.headers.get("X-Request-Id"),
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


def _unreachable(url: str, error: httpx2.TransportError) -> CommandFailure:
    why = "no answer in time" if isinstance(error, httpx2.TimeoutException) else str(error)
    return CommandFailure(
        "unreachable",
        f"cannot reach {url}: {why}",
        exit_code=ExitCode.UNAVAILABLE,
        hint="start a server with `dispatch serve`, or name one with --url or DISPATCH_URL",
    )


def _retry_after_s(response: httpx2.Response) -> float | None:
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isascii() and told.isdigit() and len(told) < 7 else None


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        message = f"{url!r} is not the address of a server; write for example http://127.0.0.1:8080"
        raise CommandFailure("invalid-url", message, exit_code=ExitCode.USAGE)
    return url.rstrip("/")


def _sendable(api_key: str) -> str:
    if not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key and api_key):
        message = "the API key must be printable ASCII without spaces around it"
        raise CommandFailure("invalid-key", message, exit_code=ExitCode.USAGE)
    return api_key


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
