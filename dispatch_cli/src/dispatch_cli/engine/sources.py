"""Bring the source of a job onto this machine: a path, a file:// URL, or something to fetch over HTTP."""

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from dispatch_cli.engine.failures import TranscodeError, storage_failure
from dispatch_cli.engine.limits import FetchLimits

_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,8}$")


@contextmanager
def open_source(
    source: str,
    *,
    folder: Path | None = None,
    limits: FetchLimits | None = None,
    cancelled: threading.Event | None = None,
    on_bytes: Callable[[int, int | None], None] = lambda _received, _total: None,
) -> Iterator[Path]:
    """The local file of a source, for as long as the block lasts.

    A remote one is fetched into a temporary file (in `folder`, or where the system keeps them), which is
    removed at the end; `on_bytes(received, total if known)` follows it. Setting `cancelled` ends a fetch
    within 0.2 s, even one from a server that says nothing.

    Raises `TranscodeError`: `input` for a source that is missing, unreadable, too large, refused by its
    server or of no known kind; `timeout` for one that is silent or too slow; `resource` if the disk is
    full; `cancelled`.
    """
    if not is_remote(source):
        yield _readable(local_path(source))
        return
    from dispatch_cli.engine.fetching import (
        fetch,
    )  # an HTTP client takes 0.2 s to import; most sources are files

    with _temporary(source, folder) as file:
        fetch(source, file, limits or FetchLimits(), cancelled or threading.Event(), on_bytes)
        yield Path(file.name)


def is_remote(location: str) -> bool:
    """Whether a location has to be fetched."""
    return location.lower().startswith(("http://", "https://"))


def local_path(location: str) -> Path:
    """The path that a path or file:// URL names. Raises `TranscodeError` `input` for anything else."""
    if not location or "\0" in location:
        raise TranscodeError("input", "a location is a non-empty path or URL without NUL characters")
    if "://" not in location:
        return Path(location)
    url = _split(location)
    if url.scheme.lower() != "file":
        raise TranscodeError(
            "input", f"{url.scheme}:// is not known here: give a path, file://, http:// or https://"
        )
    if url.netloc not in {"", "localhost"}:
        raise TranscodeError(
            "input", f"{shown(location)} is on another host; write file:///path for this one"
        )
    path = url2pathname(url.path)
    if not path or "\0" in path:
        raise TranscodeError("input", f"{shown(location)} names no file")
    return Path(path)


def shown(location: str) -> str:
    """A location for people to read: of a URL without user, password and query, which may be secrets.

    >>> shown("https://ann:secret@media.example:8443/in/a.mp4?signature=abc")
    'https://media.example:8443/in/a.mp4'
    """
    if "://" not in location:
        return location
    url = _split(location)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:
        raise TranscodeError("input", f"not a URL: {error}") from None


def _readable(path: Path) -> Path:
    try:
        if path.is_dir():
            raise TranscodeError("input", f"{path} is a folder")
        if not path.exists():
            raise TranscodeError("input", f"{path} does not exist on this engine")
    except OSError as error:
        raise TranscodeError("input", f"{error.strerror or error}: {path}") from None
    if not os.access(path, os.R_OK):
        raise TranscodeError("input", f"{path} may not be read by this engine")
    return path


@contextmanager
def _temporary(source: str, folder: Path | None) -> Iterator[IO[bytes]]:
    """A temporary file with the suffix of the source: ffmpeg knows a few formats by name only."""
    suffix = _SUFFIX.search(_split(source).path)
    try:
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115  # closed and removed below
            prefix="dispatch-source-", suffix=suffix.group() if suffix else "", dir=folder, delete=False
        )
    except OSError as error:
        raise storage_failure(error, "cannot make a temporary file for the source") from error
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()
        Path(file.name).unlink(missing_ok=True)
