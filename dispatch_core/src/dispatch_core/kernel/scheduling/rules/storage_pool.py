"""Storage pools: a job that writes to a pool needs an engine that reaches it, and room in it."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.rules.rule import EngineView
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job


class StoragePoolRule:
    """Engines name the pools they reach in their fact ``pool``."""

    name = "storage-pool"

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """Whether the engine reaches the pool."""
        if wanted.pool is None:
            return ()
        reached = engine.profile.facts.get("pool")
        if isinstance(reached, tuple) and wanted.pool in reached:
            return ()
        needs = f"pool has {wanted.pool}"
        return [Reason("pool-unreachable", f"does not reach pool {wanted.pool}", f"an engine with {needs}")]

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """Room for its bytes besides what runs already; a job of unknown size needs some room, too."""
        if wanted.pool is None:
            return ()
        room = view.pools.get(wanted.pool)
        if room is None:
            mend = f"create the pool {wanted.pool}, or edit the job's pool"
            return [Reason("pool-unknown", f"there is no pool {wanted.pool} any more", mend, volatile=True)]
        needed = job.spec.size.size_bytes or 1
        missing = needed - room.free_bytes
        if missing <= 0:
            return ()
        message = f"needs {needed} bytes in pool {wanted.pool}; {room.free_bytes} are free"
        mend = f"{missing} more free bytes in pool {wanted.pool}"
        return [Reason("pool-full", message, mend, volatile=True)]

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """Pools are no preference."""
        return 0
