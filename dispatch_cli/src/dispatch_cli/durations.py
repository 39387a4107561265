"""Durations as people write and read them."""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import Final

_UNITS: Final = MappingProxyType(
    {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
)
_PART: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|[smhdw])")
_PLAIN: Final = re.compile(r"\d{1,12}(?:\.\d{1,6})?")


def parse_duration(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``10m``, ``1h30m``, ``1.5d``. Raises ValueError.

    >>> parse_duration("1h30m"), parse_duration("90"), parse_duration("250ms")
    (5400.0, 90.0, 0.25)
    """
    compact = text.strip().lower().replace(" ", "")
    if _PLAIN.fullmatch(compact):
        return float(compact)
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"{text!r} is not a duration; write for example 90s, 10m, 2h or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def spell_duration(seconds: float, units: int = 2) -> str:
    """A duration in its largest units, cut, not rounded.

    >>> [spell_duration(each) for each in (0.25, 42, 90, 5400, 200_000, 3600)]
    ['0.2 s', '42 s', '1 min 30 s', '1 h 30 min', '2 d 7 h', '1 h']
    >>> spell_duration(5400, 1)
    '1 h'
    """
    if not math.isfinite(seconds):
        return "?"
    if abs(seconds) < 10 and seconds != round(seconds):
        return f"{seconds:.1f} s"
    left = round(abs(seconds))
    parts: list[str] = []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        parts.append(f"{count} {name}" if count else "")
    first = next((index for index, part in enumerate(parts) if part), 3)
    shown = " ".join(part for part in parts[first : first + units] if part) or "0 s"
    return f"-{shown}" if seconds < 0 else shown
