"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from attrs import frozen

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.vocabulary.engines import Engine, EnginePulse
from dispatch_core.vocabulary.facts import FactValue
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.limits import LimitRoom
from dispatch_core.vocabulary.pools import PoolRoom
from dispatch_core.vocabulary.windows import Window

NO_LIMITS: Final[Mapping[str, LimitRoom]] = MappingProxyType({})
NO_ROOMS: Final[Mapping[str, PoolRoom]] = MappingProxyType({})


def nobody(_job: Job) -> Sequence[str]:
    """No other engine is known."""
    return ()


@frozen
class EngineView:
    """An engine as rules see it: its record, its last sign of life, the pools of its tenant, the maintenance
    windows that count at ``now_us``, and what its tenant's limits leave for it.

    ``others`` names engines in service beside it that could take a job, as far as their records say: all of them in
    an explanation; in a claim, one more than the job failed on at most, in any order.
    """

    engine: Engine
    pulse: EnginePulse | None = None
    pools: Mapping[str, PoolRoom] = NO_ROOMS
    windows: tuple[Window, ...] = ()
    now_us: int = 0
    others: Callable[[Job], Sequence[str]] = nobody
    limits: Mapping[str, LimitRoom] = NO_LIMITS

    def fact(self, name: str) -> FactValue | None:
        """The value of a fact, the volatile ones from the pulse."""
        if name == "disk_free_gb" and self.pulse and self.pulse.disk_free_bytes is not None:
            return self.pulse.disk_free_bytes / 1e9
        return self.engine.profile.facts.get(name)


class Rule(Protocol):
    """One reason why a job might not go to an engine. Pure: equal arguments, equal answers."""

    @property
    def name(self) -> str:
        """The kebab-case name, also the prefix of its reason codes."""
        ...

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """What keeps every job of a class from an engine; remembered per (class, engine version)."""
        ...

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """What keeps this very job from it now: exact sizes, pins, facts that move with each heartbeat."""
        ...

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """A preference as waiting time: the job counts as this much less late here (µs, ≥ 0)."""
        ...
