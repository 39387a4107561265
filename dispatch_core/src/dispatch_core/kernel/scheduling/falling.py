"""What the ladder of a waiting job would change: the next step that an engine could take, and when."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from dispatch_core.kernel.ladder import rungs
from dispatch_core.kernel.scheduling.explanation import FallAhead
from dispatch_core.kernel.scheduling.matcher import Matcher
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.kernel.scheduling.rules import EngineView
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.jobs import Job


def fall_ahead(job: Job, views: Sequence[EngineView], matcher: Matcher, outlook: Outlook) -> FallAhead | None:
    """How the job's wish goes on becoming looser; None if it does not."""
    if job.fall_at_us is job.fall_left_us is None:
        return None
    ahead = attrs.evolve(job, ready=None)  # its length is another one there
    for step, spec in enumerate(rungs(job.spec, job.step), start=job.step + 1):
        looser = attrs.evolve(ahead, spec=spec)
        fits = tuple(view.engine.id for view in views if not matcher.reasons(looser, view, outlook))
        if fits:
            return FallAhead(step=step, next_at_us=job.fall_at_us, at_us=_at_us(job, step), engines=fits)
    return FallAhead(step=job.step + 1, next_at_us=job.fall_at_us, at_us=job.fall_at_us)


def _at_us(job: Job, step: int) -> int | None:
    """When a later step takes effect at the earliest, if the job is not stopped in between."""
    if job.fall_at_us is None:
        return None
    last = job.spec.ladder[step - 1].after_s - job.spec.ladder[job.step].after_s
    return job.fall_at_us + to_us(last)
