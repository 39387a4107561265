"""The verbs of what is beside jobs and engines, grouped: ``dispatcher.pools.create(…)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from attrs import frozen

from dispatch_core.shell import campaigns, limitview, poolview, windowview
from dispatch_core.shell.campaigns import CampaignProgress
from dispatch_core.vocabulary.attempts import Lease
from dispatch_core.vocabulary.commands import Command
from dispatch_core.vocabulary.limits import DeleteLimit, Limit, LimitRoom, LimitSpec, SetLimit
from dispatch_core.vocabulary.pools import (
    CreatePool,
    DeletePool,
    EditPool,
    Pool,
    PoolRoom,
    PoolSpec,
    ReportPool,
)
from dispatch_core.vocabulary.windows import EndWindow, PlanWindow, Window

Do = Callable[[Command], Any]
Ask = Callable[..., Any]


def named(lease: Lease) -> dict[str, Any]:
    """What a report says of the lease it is about."""
    return {"job_id": lease.job.id, "token": lease.token, "engine_id": lease.engine_id}


V_co = TypeVar("V_co", covariant=True)


@frozen
class Grouped(Generic[V_co]):
    """An attribute of a dispatcher: verbs that act in its name."""

    _make: Callable[[Do, Ask], V_co]

    def __get__(self, dispatcher: Any, _kind: object = None) -> V_co:
        return self._make(dispatcher._do, dispatcher._ask)  # noqa: SLF001  # it is the dispatcher's own attribute


@frozen
class PoolVerbs:
    """Storage pools: named places that jobs write to."""

    _do: Do
    _ask: Ask

    def create(self, pool_id: str, spec: PoolSpec) -> Pool:
        """Let jobs name a pool. WrongStateError if the tenant has one of this id."""
        return cast(Pool, self._do(CreatePool(pool_id=pool_id, spec=spec)))

    def edit(self, pool_id: str, merge: Mapping[str, object], *, if_version: int | None = None) -> Pool:
        """Change what is said of a pool by a JSON merge patch of its spec."""
        return cast(Pool, self._do(EditPool(pool_id=pool_id, merge=merge, if_version=if_version)))

    def report(self, pool_id: str, *, used_bytes: int, capacity_bytes: int | None = None) -> Pool:
        """Say how full a pool was measured to be, and perhaps how large."""
        report = ReportPool(pool_id=pool_id, used_bytes=used_bytes, capacity_bytes=capacity_bytes)
        return cast(Pool, self._do(report))

    def delete(self, pool_id: str) -> Pool:
        """Forget a pool: its last state. What runs goes on; what waits for it must be edited."""
        return cast(Pool, self._do(DeletePool(pool_id=pool_id)))

    def get(self, pool_id: str) -> PoolRoom:
        """One pool and what its running jobs reserve. Raises UnknownPoolError."""
        return cast(PoolRoom, self._ask(poolview.pool, pool_id))

    def list(self) -> list[PoolRoom]:
        """This tenant's pools by id."""
        return cast("list[PoolRoom]", self._ask(poolview.pools))


@frozen
class LimitVerbs:
    """Limits by key: how many jobs that name a key run at a time, how often they start, how many may wait."""

    _do: Do
    _ask: Ask

    def set(self, key: str, spec: LimitSpec) -> Limit:
        """Say what holds for a key from now on; what runs goes on."""
        return cast(Limit, self._do(SetLimit(key=key, spec=spec)))

    def remove(self, key: str) -> Limit:
        """Let the key be limited no longer: its last state. Raises UnknownLimitError."""
        return cast(Limit, self._do(DeleteLimit(key=key)))

    def get(self, key: str) -> LimitRoom:
        """One limit and what is in use of it. Raises UnknownLimitError."""
        return cast(LimitRoom, self._ask(limitview.limit, key))

    def list(self) -> list[LimitRoom]:
        """This tenant's limits by key."""
        return cast("list[LimitRoom]", self._ask(limitview.limits))


@frozen
class CampaignVerbs:
    """Campaigns: jobs that belong together. They begin and end with their jobs."""

    _do: Do
    _ask: Ask

    def progress(self, name: str) -> CampaignProgress:
        """How far the jobs of a campaign have come. Raises UnknownCampaignError."""
        return cast(CampaignProgress, self._ask(campaigns.campaign, name))


@frozen
class WindowVerbs:
    """Maintenance windows: times in which engines get no work."""

    _do: Do
    _ask: Ask

    def plan(self, engine_id: str | None, *, from_us: int, until_us: int, reason: str = "") -> Window:
        """No work for an engine (None: for all of the tenant) between two instants."""
        plan = PlanWindow(engine_id=engine_id, from_us=from_us, until_us=until_us, reason=reason)
        return cast(Window, self._do(plan))

    def end(self, window_id: str) -> Window:
        """End a window now, or call it off: its last state. Raises UnknownWindowError."""
        return cast(Window, self._do(EndWindow(window_id=window_id)))

    def list(self) -> list[Window]:
        """This tenant's windows that are not over, the first to open first."""
        return cast("list[Window]", self._ask(windowview.windows))
