"""Denied attempts: who was refused what, from where and how often. Tick writes them, a trail a day and tenant."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

DAY_US = 86_400_000_000
DENIALS_KEPT_US = 90 * DAY_US
"""How long a day's trail is kept after that day."""
ROWS_A_DAY = 2_000
"""Rows of one tenant's day; what comes after is counted, and one row a period says how much it was."""
OPERATORS_TRAIL = ""
"""The tenant whose trail holds what none may read but operators: callers without a key, and foreign ids."""
MORE = "more"


@frozen(kw_only=True)
class Denied:
    """The same refusal of the same caller, so many times since the last tick that wrote."""

    tenant: str
    actor: str
    action: str
    reason: str
    address: str | None
    count: int


@frozen(kw_only=True)
class DenialTrail:
    """A day's denied attempts of a tenant; what they were is in its history, which goes when the day is purged."""

    record_type: ClassVar[str] = "denials"

    tenant: str
    version: int
    day: int
    attempts: int
    updated_us: int

    @property
    def key(self) -> str:
        """The key of its record."""
        return trail_key(self.day, self.tenant)

    @property
    def due_us(self) -> int | None:
        """When it goes."""
        return (self.day + 1) * DAY_US + DENIALS_KEPT_US


def trail_key(day: int, tenant: str) -> str:
    """The key of a day's record; ``day`` counts from 1970-01-01 in UTC."""
    return f"{day}:{tenant}"


@frozen(kw_only=True)
class WriteDenials:
    """Denied attempts since the last time (given by tick only)."""

    denied: tuple[Denied, ...]


@frozen(kw_only=True)
class PurgeDenials:
    """A day's trail has been kept long enough (given by tick only)."""

    key: str


DenialCommand = WriteDenials | PurgeDenials


@frozen(kw_only=True)
class AccessDenied:
    """Somebody was refused ``count`` times; ``action`` is the verb or route, ``reason`` is ``unauthorized``,
    ``rate-limited``, ``foreign-origin``, ``forbidden``, ``foreign-id``, or ``more``: those not told one by one.
    """

    action: str
    reason: str
    address: str | None
    count: int


DenialEvent = AccessDenied
