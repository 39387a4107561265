"""How hard a reason is, by its code: what must change before it goes away, and at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from dispatch_core.kernel.scheduling.explanation import Reason


class Severity(IntEnum):
    """What a reason asks for, the hardest last. An engine keeps a job as hard as its hardest reason."""

    RANK = 1
    """Others come first, or a better engine is waited for: time alone ends it."""
    BUSY = 2
    """All slots are taken: the end of a run ends it."""
    LIMITED = 3
    """A limit, a pin, or something that is full: it passes, or somebody lifts it."""
    OFFLINE = 4
    """The engine is away or out of service."""
    NEVER = 5
    """The engine would have to be another one, or the job."""


SEVERITIES: Final[Mapping[str, Severity]] = MappingProxyType(
    {
        "outranked": Severity.RANK,
        "waits-for-better": Severity.RANK,
        "busy": Severity.BUSY,
        "pinned": Severity.LIMITED,
        "failed-here": Severity.LIMITED,
        "limited": Severity.LIMITED,
        "disk-full": Severity.LIMITED,
        "pool-full": Severity.LIMITED,
        "pool-unknown": Severity.LIMITED,
        "maintenance": Severity.OFFLINE,
        "maintenance-window": Severity.OFFLINE,
        "quarantined": Severity.OFFLINE,
        "offline": Severity.OFFLINE,
    }
)
"""Codes that are not here are never-reasons, or limits if they move with each sign of life (``volatile``)."""

_PRICES: Final[Mapping[str, int]] = MappingProxyType(
    {"pinned": 3, "maintenance": 6, "maintenance-window": 8, "software-version": 25}
)
_PRICE_OF: Final[Mapping[Severity, int]] = MappingProxyType(
    {
        Severity.RANK: 1,
        Severity.BUSY: 2,
        Severity.LIMITED: 5,
        Severity.OFFLINE: 10,
        Severity.NEVER: 30,
    }
)


def severity_of(reason: Reason) -> Severity:
    """How hard one reason is."""
    return SEVERITIES.get(reason.code, Severity.LIMITED if reason.volatile else Severity.NEVER)


def price_of(reasons: Sequence[Reason]) -> tuple[int, int]:
    """What it takes to remove all of them: the hardest first, then the sum of their prices; none: (0, 0)."""
    hardest = max((severity_of(each) for each in reasons), default=0)
    total = sum(_PRICES.get(each.code, _PRICE_OF[severity_of(each)]) for each in reasons)
    return int(hardest), total


def hardest_first(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """In the order in which they should be read; those of one severity stay as they were found."""
    return tuple(sorted(reasons, key=lambda each: -severity_of(each)))
