"""Checksums of rows: SQLite has none of its own, and would serve a flipped bit as the truth."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

_BETWEEN = "\x1f"


def checksum(values: Sequence[object]) -> int:
    """The CRC-32 of a row's values: finds every flip of up to three bits, and every burst of up to 32.

    >>> checksum(("job-1", 3)) == checksum(("job-1", 2))
    False
    """
    return crc32(_BETWEEN.join(map(str, values)).encode("utf-8", "surrogatepass"))
