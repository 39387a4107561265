"""Limits by key: so many units at a time, so many starts per second."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.limits import wait_s
from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.rules.rule import EngineView
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job, LimitUse
from dispatch_core.vocabulary.limits import TOKEN, LimitRoom, LimitScope, uses_of

LIMITED = "limited"


class LimitRule:
    """What the job takes of its limits is left, on this engine or in the whole fleet, as each limit says."""

    name = "limits"

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """What is in use moves with every grant."""
        return ()

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """Units at a time against what runs; units per second against the tokens in the bucket."""
        uses = uses_of(job.spec)
        if not uses:
            return ()
        met = ((use, view.limits.get(use.key)) for use in uses)
        return [reason for use, room in met if room is not None for reason in _exceeded(use, room)]

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """Limits are no preference."""
        return 0


def class_is_limited(wanted: SchedulingClass, view: EngineView) -> bool:
    """Whether a limit that is the same on every engine keeps all jobs of a class from starting now."""
    met = ((use, view.limits.get(use.key)) for use in wanted.limits)
    return any(
        _exceeded(use, room)
        for use, room in met
        if room is not None and room.limit.spec.per is LimitScope.FLEET
    )


def _exceeded(use: LimitUse, room: LimitRoom) -> list[Reason]:
    spec, reasons = room.limit.spec, []
    where = " on this engine" if spec.per is LimitScope.ENGINE else ""
    if spec.capacity is not None and room.in_use + use.units > spec.capacity:
        message = f"needs {use.units} of limit {use.key}; {room.in_use} of {spec.capacity} are in use{where}"
        over = room.in_use + use.units - spec.capacity
        wait = f"{over} of limit {use.key} set free, or " if use.units <= spec.capacity else ""
        mend = f"{wait}its capacity raised to {room.in_use + use.units}"
        reasons.append(Reason(LIMITED, message, mend, volatile=True))
    if spec.rate_per_s is not None and room.tokens < use.units * TOKEN:
        has = f"{room.tokens / TOKEN:.3g} of its {spec.burst} tokens are left{where}"
        message = f"needs {use.units} of limit {use.key}, {spec.rate_per_s:g} per second; {has}"
        wait = f"wait {wait_s(spec, room.tokens, use.units):.3g} s"
        mend = wait if use.units <= spec.burst else f"the burst of limit {use.key} raised to {use.units}"
        reasons.append(Reason(LIMITED, message, mend, volatile=True))
    return reasons
