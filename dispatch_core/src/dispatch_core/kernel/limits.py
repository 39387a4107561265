"""Decides about one limit, and counts tokens."""

from __future__ import annotations

from typing import assert_never

import attrs

from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError, UnknownLimitError
from dispatch_core.vocabulary.limits import (
    TENANT_KEY,
    TOKEN,
    DeleteLimit,
    Ledger,
    Limit,
    LimitCommand,
    LimitDeleted,
    LimitEvent,
    LimitScope,
    LimitSet,
    LimitSpec,
    SetLimit,
)


def known_limit(limit: Limit | None, key: str) -> Limit:
    """The limit. Raises UnknownLimitError if there is none."""
    if limit is None:
        raise UnknownLimitError(f"there is no limit {key}")
    return limit


def decide_limit(limit: Limit | None, command: LimitCommand, tenant: str) -> tuple[LimitEvent, ...]:
    """The events a command means for a limit.

    Raises UnknownLimitError if there is none to delete, InvalidCommandError if it would limit nothing.
    """
    match command:
        case SetLimit():
            _check(command.key, command.spec)
            same = limit is not None and limit.spec == command.spec
            return () if same else (LimitSet(key=command.key, tenant=tenant, spec=command.spec),)
        case DeleteLimit():
            known_limit(limit, command.key)
            return (LimitDeleted(),)
        case _:
            assert_never(command)


def _check(key: str, spec: LimitSpec) -> None:
    problems = []
    if spec.capacity is spec.rate_per_s is spec.queued_max is None:
        problems.append(
            FieldProblem("/capacity", "or rate_per_s, or queued_max is needed: it limits nothing")
        )
    if spec.queued_max is not None and key != TENANT_KEY and not key.startswith("account:"):
        problems.append(FieldProblem("/queued_max", f"counts for {TENANT_KEY} and account:NAME only"))
    if key == TENANT_KEY and (spec.capacity is not None or spec.rate_per_s is not None):
        problems.append(FieldProblem("/capacity", f"the key {TENANT_KEY} is for queued_max only"))
    if spec.queued_max is not None and spec.per is LimitScope.ENGINE:
        problems.append(FieldProblem("/per", "what waits is on no engine"))
    if problems:
        raise InvalidCommandError(problems)


def evolve_limit(limit: Limit | None, event: LimitEvent, at_us: int) -> Limit:
    """The limit after an event: one version further. Of a deleted one this is its last state."""
    match event:
        case LimitSet() if limit is None:
            return Limit(
                name=event.key,
                tenant=event.tenant,
                version=1,
                spec=event.spec,
                created_us=at_us,
                updated_us=at_us,
            )
        case LimitSet() | LimitDeleted():
            assert limit is not None
            spec = event.spec if isinstance(event, LimitSet) else limit.spec
            updated_us = max(at_us, limit.updated_us)
            return attrs.evolve(limit, version=limit.version + 1, spec=spec, updated_us=updated_us)
        case _:
            assert_never(event)


def tokens_at(spec: LimitSpec, ledger: Ledger | None, now: int) -> int:
    """The tokens (in millionths) in a bucket: full at first, never more than ``burst`` nor fewer than none.

    A clock that was set back gives nothing, and is not waited for.
    """
    full = spec.burst * TOKEN
    if ledger is None or spec.rate_per_s is None:
        return full
    gained = int(
        spec.rate_per_s * max(now - ledger.refilled_us, 0)
    )  # per µs as many millionths as per s whole ones
    return max(min(ledger.tokens + gained, full), 0)


def wait_s(spec: LimitSpec, tokens: int, units: int) -> float:
    """How long it takes until a bucket with so many tokens (in millionths) has so many units."""
    assert spec.rate_per_s is not None
    return max(units * TOKEN - tokens, 0) / TOKEN / spec.rate_per_s


def spent(limit: Limit, ledger: Ledger | None, key: str, units: int, now: int) -> Ledger:
    """The bucket after a grant took ``units``; ``key`` is that of its record."""
    left = tokens_at(limit.spec, ledger, now) - units * TOKEN
    assert left >= 0, "a grant took tokens that were not there"
    return Ledger(
        id=key,
        tenant=limit.tenant,
        limit=limit.name,
        version=1 if ledger is None else ledger.version + 1,
        tokens=left,
        refilled_us=now,
    )
