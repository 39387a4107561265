"""Not straight back: a job that failed on an engine goes to others first, as long as there are any."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.rules.rule import EngineView
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job

FAILED_HERE = "failed-here"
PATIENCE_US = 900 * SECOND_US
"""So long a job waits for the others: they may be live, and yet too full or too shy to take it."""


class FailedHereRule:
    """A job goes where it failed least often, and longest ago."""

    name = FAILED_HERE

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """What failed is a job, not a class."""
        return ()

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """Whether another engine that could take the job now would be new to it, or failed it less."""
        if not job.failed_on:
            return ()
        ranks = {each.engine_id: (each.times, at, each) for at, each in enumerate(job.failed_on)}
        mine = ranks.get(view.engine.id)
        if mine is None or view.now_us - job.updated_us >= PATIENCE_US:
            return ()
        better = [other for other in view.others(job) if other not in ranks or ranks[other][:2] < mine[:2]]
        if not better:
            return ()
        times = "once" if mine[0] == 1 else f"{mine[0]} times"
        others = better[0] if len(better) == 1 else f"{better[0]} or {len(better) - 1} others"
        message = f"it failed here {times}, last by {mine[2].failure_class}; {others} could take it"
        mend = f"let {better[0]} take it, or assign it to {view.engine.id}"
        return [Reason(FAILED_HERE, message, mend, volatile=True)]

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """It is no preference."""
        return 0
