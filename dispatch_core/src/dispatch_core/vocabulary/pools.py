"""Storage pools: places that jobs write to, how large they are, and what is free in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from attrs import frozen

from dispatch_core.vocabulary.bounds import INT_MAX, Bound, Json, Length
from dispatch_core.vocabulary.jobs import Natural, Note, PoolId

POOLS_MAX = 1_000
"""Pools of one tenant."""


@frozen(kw_only=True)
class PoolSpec:
    """What is said of a pool. ``url`` is an address or a path for people and engines; it is never opened here.

    ``used_bytes`` is what was last reported; ``reserve_bytes`` stay free whatever comes.
    """

    url: Annotated[str, Length(0, 2_048)] = ""
    capacity_bytes: Natural
    used_bytes: Natural = 0
    reserve_bytes: Natural = 0
    note: Note = ""


@frozen(kw_only=True)
class Pool:
    """A storage pool, known by its id within its tenant. Changes only by events: version + 1 each."""

    record_type: ClassVar[str] = "pool"

    id: str
    tenant: str
    version: int
    spec: PoolSpec
    created_us: int
    updated_us: int

    @property
    def key(self) -> str:
        """The key of its record."""
        return pool_key(self.tenant, self.id)

    @property
    def due_us(self) -> int | None:
        """Pools wait for no time."""
        return None


def pool_key(tenant: str, pool_id: str) -> str:
    """The store's key of a pool: ids are each tenant's own, and have no slash."""
    return f"{tenant}/{pool_id}"


@frozen
class PoolRoom:
    """A pool and what its running jobs may still write."""

    pool: Pool
    reserved_bytes: int = 0

    @property
    def free_bytes(self) -> int:
        """What a further job may count on; below zero if the pool is fuller than it should be."""
        spec = self.pool.spec
        return spec.capacity_bytes - spec.reserve_bytes - spec.used_bytes - self.reserved_bytes


# ----- commands


@frozen(kw_only=True)
class CreatePool:
    """Let jobs name a pool."""

    pool_id: PoolId
    spec: PoolSpec


@frozen(kw_only=True)
class EditPool:
    """Change what is said of a pool: ``merge`` is a JSON merge patch (RFC 7396) of its spec."""

    pool_id: PoolId
    merge: Annotated[Mapping[str, object], Json()]
    if_version: Annotated[int, Bound(1, INT_MAX)] | None = None


@frozen(kw_only=True)
class ReportPool:
    """Somebody measured how full a pool is, and perhaps how large."""

    pool_id: PoolId
    used_bytes: Natural
    capacity_bytes: Natural | None = None


@frozen(kw_only=True)
class DeletePool:
    """Forget a pool. What runs goes on; jobs that wait for it wait until they are edited."""

    pool_id: PoolId


PoolCommand = CreatePool | EditPool | ReportPool | DeletePool


# ----- events


@frozen(kw_only=True)
class PoolCreated:
    """The pool exists."""

    pool_id: str
    tenant: str
    spec: PoolSpec


@frozen(kw_only=True)
class PoolEdited:
    """Something else is said of the pool."""

    spec: PoolSpec


@frozen(kw_only=True)
class PoolReported:
    """The pool was measured."""

    used_bytes: int
    capacity_bytes: int


@frozen(kw_only=True)
class PoolDeleted:
    """The pool is gone."""


PoolEvent = PoolCreated | PoolEdited | PoolReported | PoolDeleted
