"""Limits by key."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from dispatch_core import LimitScope, LimitSpec
from dispatch_core.forms import LIMIT_FIELDS
from dispatch_http.openapi.operations.operation import CONFLICT, Answer, Operation, fields
from dispatch_http.openapi.schemas import Instant


@frozen(kw_only=True)
class Limit:
    """A limit; `in_use` counts the units of running jobs on all engines, `tokens` is what its bucket has now."""

    key: str
    capacity: int | None
    rate_per_s: float | None
    burst: int
    per: LimitScope
    queued_max: int | None
    in_use: int
    tokens: float | None
    note: str
    version: int
    created_at: Instant
    updated_at: Instant


@frozen
class Limits:
    """All limits by key."""

    limits: tuple[Limit, ...]


_LIMIT = {200: Answer(kind=Limit, etag=True)}

LIMITS: Mapping[str, Operation] = {
    "GET /limits": Operation(
        name="listLimits",
        words="All limits by key and what is in use of them.",
        query=(fields(LIMIT_FIELDS),),
        answers={200: Answer(kind=Limits)},
        links={"limits": ("getLimit", "setLimit", "deleteLimit")},
    ),
    "GET /limits/{limit_key}": Operation(
        name="getLimit",
        words="One limit and what is in use of it.",
        answers=_LIMIT,
    ),
    "PUT /limits/{limit_key}": Operation(
        name="setLimit",
        words="Say what holds for a key from now on. What runs goes on.",
        example={"capacity": 2},
        body=(LimitSpec,),
        refusals=CONFLICT,
        answers=_LIMIT,
    ),
    "DELETE /limits/{limit_key}": Operation(
        name="deleteLimit",
        words="Let a key be limited no longer.",
        refusals=CONFLICT,
        answers=_LIMIT,
    ),
}
