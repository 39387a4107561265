"""Files that are whole or not there: written beside their place, synced, and put there in one step."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART_SUFFIX = ".part"
PART_AGE_S = 3_600.0


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new name to write ``path`` under; when the block ends, what is there becomes ``path``, durably.

    Whatever happens in between, even a power cut, ``path`` is what it was or what it was to become. An
    exception leaves no trace; a process that is killed leaves a hidden ``.part`` file.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "jobs.json"
    >>> with replacing(place) as new:
    ...     _ = new.write_text("[]")
    >>> place.read_text(), [each.name for each in place.parent.iterdir()]
    ('[]', ['jobs.json'])
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART_SUFFIX}")
    try:
        yield new
        sync_file(new)
        new.replace(path)
        sync_folder(path.parent)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def sweep_parts(folder: Path) -> None:
    """Remove what killed writers left in a folder an hour ago or earlier."""
    for part in folder.glob(f".*{PART_SUFFIX}*"):
        if part.stat().st_mtime < time.time() - PART_AGE_S:
            part.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Wait until the disk has the content of a file."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder; only POSIX can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
