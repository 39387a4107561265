"""Fetch one remote file over HTTP so that it can be limited, watched and abandoned at any moment."""

import threading
from collections.abc import Callable
from typing import IO, Final

import httpx2
from attrs import define, field

from dispatch_cli.engine.failures import TranscodeError, storage_failure
from dispatch_cli.engine.limits import FetchLimits
from dispatch_cli.engine.locations import shown

_POLL_S: Final = 0.1
_CHUNK_BYTES: Final = 1 << 18
_REDIRECTS_MAX: Final = 5


def fetch(
    url: str,
    file: IO[bytes],
    limits: FetchLimits,
    cancelled: threading.Event,
    on_bytes: Callable[[int, int | None], None],
) -> None:
    """Write what is at `url` to `file`.

    A thread of its own reads, because a read from a silent server cannot be interrupted, only abandoned:
    the thread ends with its next chunk or time limit, writing nowhere. `on_bytes(received, total if known)`
    is called from here. Raises `TranscodeError` as `sources.open_source` says.
    """
    transfer = _Transfer(url=url, file=file, limits=limits)
    threading.Thread(target=transfer.run, daemon=True).start()
    try:
        _wait(transfer, cancelled, on_bytes)
    finally:
        transfer.abandoned.set()
    if transfer.failure is not None:
        raise transfer.failure
    file.flush()


def _wait(
    transfer: "_Transfer", cancelled: threading.Event, on_bytes: Callable[[int, int | None], None]
) -> None:
    told = 0
    for _ in range(int(transfer.limits.total_s / _POLL_S) + 1):
        over = transfer.done.wait(_POLL_S)
        if transfer.received > told:
            told = transfer.received
            on_bytes(told, transfer.total)
        if cancelled.is_set():
            raise TranscodeError("cancelled", "cancelled while fetching the source")
        if over:
            return
    raise TranscodeError("timeout", f"the source took longer than {transfer.limits.total_s:g} s to fetch")


@define(kw_only=True)
class _Transfer:
    """The reading thread's side; the waiting one looks at `received`, `total`, `done`, then `failure`."""

    url: str
    file: IO[bytes]
    limits: FetchLimits
    received: int = 0
    total: int | None = None
    failure: Exception | None = None
    done: threading.Event = field(factory=threading.Event)
    abandoned: threading.Event = field(factory=threading.Event)

    def run(self) -> None:
        try:
            self._read()
        except Exception as error:  # noqa: BLE001  # raised again by the waiting thread
            self.failure = self._typed(error)
        finally:
            self.done.set()

    def _read(self) -> None:
        timeout = httpx2.Timeout(self.limits.silence_s, connect=self.limits.connect_s)
        # Compressed transfer would make the announced length another than the file's.
        headers = {"Accept-Encoding": "identity"}
        with (
            httpx2.Client(timeout=timeout, follow_redirects=True, max_redirects=_REDIRECTS_MAX) as client,
            client.stream("GET", self.url, headers=headers) as response,
        ):
            self._check(response)
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                self._take(chunk)
                if self.abandoned.is_set():
                    return

    def _check(self, response: httpx2.Response) -> None:
        if response.status_code != 200:
            raise TranscodeError("input", f"{shown(self.url)} answered {response.status_code}")
        length = response.headers.get("Content-Length", "")
        self.total = int(length) if length.isdigit() else None
        self._check_size(self.total or 0)

    def _take(self, chunk: bytes) -> None:
        self._check_size(self.received + len(chunk))
        self.file.write(chunk)
        self.received += len(chunk)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self.limits.size_bytes_max:
            limit = f"{self.limits.size_bytes_max:,} bytes, the limit of this engine"
            raise TranscodeError("input", f"{shown(self.url)} is larger than {limit}")

    def _typed(self, error: Exception) -> Exception:
        reason = str(error) or type(error).__name__
        match error:
            case httpx2.TimeoutException():
                return TranscodeError("timeout", f"{shown(self.url)} did not answer in time: {reason}")
            case httpx2.HTTPError() | httpx2.InvalidURL():
                return TranscodeError("input", f"{shown(self.url)} cannot be fetched: {reason}")
            case OSError():
                return storage_failure(error, "cannot store the source")
            case _:
                return error
