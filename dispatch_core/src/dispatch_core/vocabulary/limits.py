"""Limits by key: how many jobs that name a key run at a time, how often they start, and how many may wait."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from attrs import frozen

from dispatch_core.vocabulary.bounds import Bound
from dispatch_core.vocabulary.jobs import JobSpec, LimitKey, LimitUnits, LimitUse, Natural, Note

LIMITS_MAX = 1_000
"""Limits of one tenant."""
TOKEN = 1_000_000
"""Tokens are kept in millionths."""
TENANT_KEY = "tenant"
"""The key whose quota counts all waiting jobs of the tenant."""


class LimitScope(StrEnum):
    """What is counted together."""

    FLEET = "fleet"
    """All jobs of the tenant that use the key."""
    ENGINE = "engine"
    """Those on one engine: each has the whole limit for itself."""


@frozen(kw_only=True)
class LimitSpec:
    """What is said of a key. What is None is not limited.

    ``capacity``: units in use at a time by running jobs. ``rate_per_s``: units that may start per second on
    the average, with ``burst`` of them at once. ``queued_max``: jobs that wait (of the tenant or an account).
    """

    capacity: Natural | None = None
    rate_per_s: Annotated[float, Bound(1e-6, 1e6)] | None = None
    burst: LimitUnits = 1
    per: LimitScope = LimitScope.FLEET
    queued_max: Natural | None = None
    note: Note = ""


@frozen(kw_only=True)
class Limit:
    """A limit, known by its key within its tenant. Changes only by events: version + 1 each."""

    record_type: ClassVar[str] = "limit"

    name: str
    tenant: str
    version: int
    spec: LimitSpec
    created_us: int
    updated_us: int

    @property
    def key(self) -> str:
        """The key of its record."""
        return limit_id(self.tenant, self.name)

    @property
    def due_us(self) -> int | None:
        """Limits wait for no time."""
        return None


def limit_id(tenant: str, name: str) -> str:
    """The store's key of a limit: names are each tenant's own, and have no slash."""
    return f"{tenant}/{name}"


@frozen(kw_only=True)
class Ledger:
    """The token bucket of a limit, or of a limit on one engine: what was left in it at an instant.

    Written with each grant that takes from it. It has no history: it says nothing that the grants do not.
    """

    record_type: ClassVar[str] = "ledger"

    id: str
    tenant: str
    limit: str
    version: int
    tokens: int
    refilled_us: int

    @property
    def key(self) -> str:
        """The key of its record."""
        return self.id

    @property
    def due_us(self) -> int | None:
        """A bucket is filled when it is looked at."""
        return None


def ledger_id(limit: Limit, engine_id: str) -> str:
    """The store's key of the bucket that a grant on this engine takes from."""
    return f"{limit.key}/{engine_id}" if limit.spec.per is LimitScope.ENGINE else f"{limit.key}/"


@frozen(kw_only=True)
class LimitRoom:
    """A limit as one engine meets it: the units in use, and the tokens (in millionths) in its bucket now."""

    limit: Limit
    in_use: int = 0
    tokens: int = 0


def account_key(account: str) -> str:
    """The key that every job of an account uses, whether it names it or not."""
    return f"account:{account}"


def waiting_of(account: str) -> str:
    """The name of the counter of an account's waiting jobs."""
    return f"waiting:{account}"


def uses_of(spec: JobSpec) -> tuple[LimitUse, ...]:
    """What a job takes of which limits while it runs."""
    if spec.account is None:
        return spec.limits
    own = [LimitUse(key=account_key(spec.account))]
    return (*spec.limits, *(use for use in own if use.key not in {each.key for each in spec.limits}))


# ----- commands


@frozen(kw_only=True)
class SetLimit:
    """Say what holds for a key from now on. What runs goes on, whatever the limit."""

    key: LimitKey
    spec: LimitSpec


@frozen(kw_only=True)
class DeleteLimit:
    """Jobs that name the key are limited no longer."""

    key: LimitKey


LimitCommand = SetLimit | DeleteLimit


# ----- events


@frozen(kw_only=True)
class LimitSet:
    """This holds for the key from now on."""

    key: str
    tenant: str
    spec: LimitSpec


@frozen(kw_only=True)
class LimitDeleted:
    """The key is limited no longer."""


LimitEvent = LimitSet | LimitDeleted
