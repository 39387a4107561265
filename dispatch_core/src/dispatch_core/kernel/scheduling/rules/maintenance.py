"""Maintenance: only live engines that are wanted active get work."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.rules.rule import EngineView
from dispatch_core.vocabulary.engines import Engine, Seen, WantedState
from dispatch_core.vocabulary.jobs import Job


class MaintenanceRule:
    """The engine shows life and nobody has taken it out of service."""

    name = "maintenance"

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """Wanted state and signs of life."""
        reasons = []
        if engine.wanted.state is not WantedState.ACTIVE:
            why = f": {engine.wanted.reason}" if engine.wanted.reason else ""
            reasons.append(Reason("maintenance", f"is {engine.wanted.state}{why}", f"resume {engine.id}"))
        if engine.seen is not Seen.LIVE:
            reasons.append(Reason("offline", f"is {engine.seen}", f"{engine.id} comes back"))
        return reasons

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """Maintenance is the same for every job."""
        return ()

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """Maintenance is no preference."""
        return 0
