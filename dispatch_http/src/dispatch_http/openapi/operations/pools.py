"""Storage pools: named places that jobs write to."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from dispatch_core import PoolSpec
from dispatch_core.forms import POOL_FIELDS
from dispatch_http import forms
from dispatch_http.openapi.operations.operation import CONFLICT, Answer, Operation, fields
from dispatch_http.openapi.schemas import Instant


@frozen(kw_only=True)
class Pool:
    """A storage pool; `free_bytes` is below zero if it is fuller than it should be."""

    id: str
    url: str
    capacity_bytes: int
    used_bytes: int
    reserve_bytes: int
    reserved_bytes: int
    free_bytes: int
    note: str
    version: int
    created_at: Instant
    updated_at: Instant


@frozen
class Pools:
    """All pools by id."""

    pools: tuple[Pool, ...]


_POOL = {200: Answer(kind=Pool, etag=True)}

POOLS: Mapping[str, Operation] = {
    "GET /pools": Operation(
        name="listPools",
        words="All storage pools and what is free in them.",
        query=(fields(POOL_FIELDS),),
        answers={200: Answer(kind=Pools)},
        links={"pools": ("getPool", "editPool", "reportPool", "deletePool")},
    ),
    "POST /pools": Operation(
        name="createPool",
        words="Make a pool; 409 if its id is taken.",
        example={"id": "archive", "capacity_bytes": 1_000_000_000_000},
        body=(forms.NewPool, PoolSpec),
        refusals=CONFLICT,
        answers={201: Answer(kind=Pool, etag=True, location="The pool.")},
        links={"pool": ("getPool", "editPool", "reportPool", "deletePool")},
    ),
    "GET /pools/{pool_id}": Operation(
        name="getPool",
        words="One pool, what running jobs reserve in it, and what is free.",
        answers=_POOL,
    ),
    "PATCH /pools/{pool_id}": Operation(
        name="editPool",
        words="Edit a pool by a JSON merge patch: what it does not name stays, null goes back to the default.",
        example={"reserve_bytes": 50_000_000_000},
        body=(PoolSpec,),
        patch=True,
        condition="If-Match",
        refusals=frozenset({409, 412}),
        answers=_POOL,
    ),
    "DELETE /pools/{pool_id}": Operation(
        name="deletePool",
        words="Forget a pool. What runs goes on; jobs that wait for it must be edited.",
        refusals=CONFLICT,
        answers=_POOL,
    ),
    "POST /pools/{pool_id}/report": Operation(
        name="reportPool",
        words="Say how full a pool was measured to be.",
        example={"used_bytes": 400_000_000_000},
        body=(forms.MeasuredPool,),
        refusals=CONFLICT,
        answers=_POOL,
    ),
}
