"""Time as a value: integer microseconds since 1970-01-01 UTC. The only room besides storage that reads it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

SECOND_US = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where a store without a clock of its own takes the time from."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC. May jump; nothing safe may depend on it."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now_us(self) -> int:
        """Microseconds since the epoch by the operating system."""
        return time.time_ns() // 1_000


def to_us(seconds: float) -> int:
    """Seconds as whole microseconds (rounded)."""
    return round(seconds * SECOND_US)


def to_datetime(instant_us: int) -> datetime:
    """An aware UTC datetime for the edges."""
    return EPOCH + timedelta(microseconds=instant_us)


def from_datetime(instant: datetime) -> int:
    """Microseconds of an aware datetime. Raises ValueError if it is naive."""
    if instant.tzinfo is None:
        raise ValueError("a datetime needs a time zone, for example datetime.now(UTC)")
    return (instant - EPOCH) // timedelta(microseconds=1)
