"""Sizes as people write them: 500MB, 1.5TB, 4GiB."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_TEXT: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([kKMGTP]?)(i?)[bB]?")
_POWERS: Final = ("", "K", "M", "G", "T", "P")


def parse_bytes(text: str) -> int:
    """Bytes of a size; units are powers of 1,000, those with an i of 1,024. Raises ValueError.

    >>> parse_bytes("500MB"), parse_bytes("1.5 TB"), parse_bytes("4GiB"), parse_bytes("42")
    (500000000, 1500000000000, 4294967296, 42)
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None or (found[3] and not found[2]):
        raise ValueError(f"{text[:100]!r} is not a size such as 500MB, 1.5TB or 4GiB")
    base = 1_024 if found[3] else 1_000
    return int(Decimal(found[1]) * base ** _POWERS.index(found[2].upper()))


def shown_bytes(size_bytes: int) -> str:
    """A size for people, three digits.

    >>> shown_bytes(1_500_000_000_000), shown_bytes(999), shown_bytes(-2_000)
    ('1.5 TB', '999 B', '-2 KB')
    """
    power = 0
    size = Decimal(size_bytes)
    while abs(size) >= 1_000 and power < len(_POWERS) - 1:
        size, power = size / 1_000, power + 1
    return f"{size:.3g} {_POWERS[power]}B" if power else f"{size_bytes} B"
