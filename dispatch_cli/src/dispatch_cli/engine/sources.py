"""Bring the source of a job onto this machine: a path, a file:// URL, or something to fetch over HTTP."""

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from dispatch_cli.engine.failures import TranscodeError, storage_failure
from dispatch_cli.engine.limits import FetchLimits
from dispatch_cli.engine.locations import is_remote, local_path, split_url

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
    suffix = _SUFFIX.search(split_url(source).path)
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
