"""Decides about one storage pool."""

from __future__ import annotations

from typing import assert_never

import attrs

from dispatch_core.vocabulary.errors import UnknownPoolError, VersionMismatchError, WrongStateError
from dispatch_core.vocabulary.pools import (
    CreatePool,
    DeletePool,
    EditPool,
    Pool,
    PoolCommand,
    PoolCreated,
    PoolDeleted,
    PoolEdited,
    PoolEvent,
    PoolReported,
    PoolSpec,
    ReportPool,
)


def known_pool(pool: Pool | None, pool_id: str) -> Pool:
    """The pool. Raises UnknownPoolError if there is none."""
    if pool is None:
        raise UnknownPoolError(f"there is no pool {pool_id}")
    return pool


def decide_pool(
    pool: Pool | None, command: PoolCommand, tenant: str, edited: PoolSpec | None = None
) -> tuple[PoolEvent, ...]:
    """The events a command means for a pool; ``edited`` is the spec as an EditPool leaves it.

    Raises WrongStateError if the id is taken, UnknownPoolError if there is no such pool.
    """
    if isinstance(command, CreatePool):
        if pool is not None:
            raise WrongStateError(f"there is a pool {pool.id} already")
        return (PoolCreated(pool_id=command.pool_id, tenant=tenant, spec=command.spec),)
    pool = known_pool(pool, command.pool_id)
    match command:
        case EditPool():
            if command.if_version is not None and command.if_version != pool.version:
                raise VersionMismatchError(
                    f"{pool.id} is at version {pool.version}, not {command.if_version}"
                )
            return () if edited is None or edited == pool.spec else (PoolEdited(spec=edited),)
        case ReportPool():
            capacity = pool.spec.capacity_bytes if command.capacity_bytes is None else command.capacity_bytes
            same = (command.used_bytes, capacity) == (pool.spec.used_bytes, pool.spec.capacity_bytes)
            return () if same else (PoolReported(used_bytes=command.used_bytes, capacity_bytes=capacity),)
        case DeletePool():
            return (PoolDeleted(),)
        case _:
            assert_never(command)


def evolve_pool(pool: Pool | None, event: PoolEvent, at_us: int) -> Pool:
    """The pool after an event: one version further. Of a deleted one this is its last state."""
    if isinstance(event, PoolCreated):
        return Pool(
            id=event.pool_id,
            tenant=event.tenant,
            version=1,
            spec=event.spec,
            created_us=at_us,
            updated_us=at_us,
        )
    assert pool is not None
    pool = attrs.evolve(pool, version=pool.version + 1, updated_us=max(at_us, pool.updated_us))
    match event:
        case PoolEdited():
            return attrs.evolve(pool, spec=event.spec)
        case PoolReported():
            measured = attrs.evolve(
                pool.spec, used_bytes=event.used_bytes, capacity_bytes=event.capacity_bytes
            )
            return attrs.evolve(pool, spec=measured)
        case PoolDeleted():
            return pool
        case _:
            assert_never(event)
