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

    def monotonic_us(self) -> int:
        """Microseconds since some start, never set: its differences are true spans."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now_us(self) -> int:
        """Microseconds since the epoch by the operating system."""
        return time.time_ns() // 1_000

    def monotonic_us(self) -> int:
        """Microseconds by the operating system's monotonic clock."""
        return time.monotonic_ns() // 1_000


class ManualClock:
    """Integer time that moves only when told to: for tests and simulations. Starts in 2030."""

    def __init__(self, now_us: int = 1_893_456_000 * SECOND_US) -> None:
        self._now_us = now_us
        self._elapsed_us = 0

    def now_us(self) -> int:
        """The instant it was moved to."""
        return self._now_us

    def monotonic_us(self) -> int:
        """How far ``advance`` has moved it."""
        return self._elapsed_us

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.advance_us(to_us(seconds))

    def advance_us(self, span_us: int) -> None:
        """Let a span of microseconds pass."""
        self._now_us += span_us
        self._elapsed_us += span_us

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator would; no time passes."""
        self._now_us += to_us(seconds)


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


def clock_text(instant_us: int) -> str:
    """An instant for people, to the second: ``2030-01-31T12:00:00Z``."""
    return to_datetime(instant_us).isoformat(timespec="seconds").replace("+00:00", "Z")
