"""Decides what of the denied attempts is written down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from dispatch_core.vocabulary.denials import (
    DAY_US,
    MORE,
    ROWS_A_DAY,
    AccessDenied,
    DenialTrail,
    Denied,
)

Told = tuple[str, AccessDenied]
"""An event and whom it is about."""


def decide_denials(trail: DenialTrail | None, denied: Sequence[Denied]) -> Iterator[Told]:
    """One event for each, as far as the day has room; then one for all the others together."""
    room = max(0, ROWS_A_DAY - (0 if trail is None else trail.version))
    for each in denied[:room]:
        yield each.actor, _told(each)
    if more := sum(each.count for each in denied[room:]):
        yield "-", AccessDenied(action=MORE, reason=MORE, address=None, count=more)


def _told(each: Denied) -> AccessDenied:
    return AccessDenied(action=each.action, reason=each.reason, address=each.address, count=each.count)


def evolve_denials(trail: DenialTrail | None, tenant: str, event: AccessDenied, at_us: int) -> DenialTrail:
    """The day's record after an event."""
    if trail is None:
        return DenialTrail(
            tenant=tenant, version=1, day=at_us // DAY_US, attempts=event.count, updated_us=at_us
        )
    return attrs.evolve(
        trail,
        version=trail.version + 1,
        attempts=trail.attempts + event.count,
        updated_us=max(at_us, trail.updated_us),
    )
