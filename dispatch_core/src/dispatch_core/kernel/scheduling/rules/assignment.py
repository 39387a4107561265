"""Assignment: a pinned job goes to its engine only; a tenant's job to engines of the tenant."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.rules.rule import EngineView
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job


class AssignmentRule:
    """An operator's pin constrains the next grant; it never goes around other rules."""

    name = "assignment"

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """Engines serve their own tenant."""
        if wanted.tenant != engine.tenant:
            return [Reason("other-tenant", "serves another tenant", "an engine of this tenant")]
        return ()

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """The pin, if there is one."""
        if job.pin is not None and job.pin.engine_id != view.engine.id:
            return [Reason("pinned", f"is pinned to {job.pin.engine_id}", f"unpin {job.id}")]
        return ()

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """Pins are no preference."""
        return 0
