"""Size: large jobs need a streaming engine; every job needs room on it."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.rules.rule import EngineView
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job


class SizeRule:
    """The job is not larger than the engine takes, nor than its free disk."""

    name = "size"

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """Large jobs (``Settings.large_job_bytes``) go to engines whose fact ``streaming`` is true."""
        if wanted.large and engine.profile.facts.get("streaming") is not True:
            return [
                Reason(
                    "not-streaming", "is a large job and needs a streaming engine", "an engine that streams"
                )
            ]
        return ()

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """Exact bytes against the engine's own maximum and its free disk."""
        size = job.spec.size.size_bytes
        if size is None:
            return ()
        reasons = []
        most = view.engine.profile.size_bytes_max
        if most is not None and size > most:
            reasons.append(
                Reason(
                    "too-large", f"is {size} bytes; takes up to {most}", f"an engine that takes {size} bytes"
                )
            )
        free = view.pulse.disk_free_bytes if view.pulse else None
        if free is not None and size > free:
            message = f"is {size} bytes; {free} are free on disk"
            reasons.append(Reason("disk-full", message, f"{size - free} more free bytes", volatile=True))
        return reasons

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """Size is no preference."""
        return 0
