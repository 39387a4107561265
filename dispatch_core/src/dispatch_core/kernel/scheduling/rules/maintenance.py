"""Maintenance: only live engines that are wanted active get work."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.rules.rule import EngineView
from dispatch_core.vocabulary.clock import clock_text
from dispatch_core.vocabulary.engines import Engine, Seen, WantedState
from dispatch_core.vocabulary.jobs import Job


class MaintenanceRule:
    """The engine shows life and nobody has taken it out of service, unless it is tried after a quarantine."""

    name = "maintenance"

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """Wanted state and signs of life."""
        reasons = []
        trial = engine.quarantine
        if engine.wanted.state is not WantedState.ACTIVE and not (trial and trial.probing):
            why = f": {engine.wanted.reason}" if engine.wanted.reason else ""
            until = f", or wait for its trial at {clock_text(trial.probe_at_us)}" if trial else ""
            mend = f"resume {engine.id}{until}"
            reasons.append(Reason("maintenance", f"is {engine.wanted.state}{why}", mend))
        if engine.seen is not Seen.LIVE:
            reasons.append(Reason("offline", f"is {engine.seen}", f"{engine.id} comes back"))
        return reasons

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """Maintenance is the same for every job."""
        return ()

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """Maintenance is no preference."""
        return 0
