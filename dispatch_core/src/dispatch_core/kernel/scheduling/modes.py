"""Modes: the policies a server knows by name, and each job in its own. All order on the one scale of ``order_key``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
from attrs import field, frozen

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.policy import (
    Estimate,
    FifoPolicy,
    FlowPolicy,
    MakespanPolicy,
    Policy,
    Prospects,
    StrictPolicy,
)
from dispatch_core.kernel.scheduling.routing import Route
from dispatch_core.vocabulary.jobs import JOB_MODES, Job, Ready

MODES: Final = ("flow", "makespan", "strict-bands", "fifo")


def policy_of(mode: str, flow: FlowPolicy) -> Policy:
    """The policy of a mode of ``MODES``; ``flow`` has the dials."""
    match mode:
        case "makespan":
            return MakespanPolicy(cap_s=flow.cap_s)
        case "strict-bands":
            return StrictPolicy()
        case "fifo":
            return FifoPolicy()
        case _:
            return flow


@frozen(kw_only=True)
class ModesPolicy:
    """Each job by the policy of its own mode, and one that names none by that of ``mode``, the server's.

    Keys of all modes are instants between created and created + cap (pushes, steps and hard deadlines apart), so
    jobs of different modes mix. The band is that of the server's mode: under ``strict-bands`` the priority of a
    job goes first whatever its own mode, which orders it within its band.
    """

    mode: str = "flow"
    flow: FlowPolicy = field(factory=FlowPolicy)
    _policies: Mapping[str | None, Policy] = field(init=False, repr=False, eq=False)

    @_policies.default
    def _by_mode(self) -> Mapping[str | None, Policy]:
        return {own: policy_of(own or self.mode, self.flow) for own in (None, *JOB_MODES)}

    def place(self, job: Job, wanted: SchedulingClass, prospects: Prospects) -> Ready:
        """As its mode says, in the band that the server's mode gives it."""
        ready = self._policies[job.spec.mode].place(job, wanted, prospects)
        if job.spec.mode is None:
            return ready
        band = self._policies[None].place(job, wanted, attrs.evolve(prospects, routes=())).band
        return ready if ready.band == band else attrs.evolve(ready, band=band)

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """As its mode says."""
        return self._policies[job.spec.mode].lateness(job, estimate)

    def leaves(self, job: Job, here_us: int, elsewhere: Route) -> bool:
        """As its mode says."""
        return self._policies[job.spec.mode].leaves(job, here_us, elsewhere)

    def own_mode(self, job: Job) -> str | None:
        """The mode a job is ordered by, if it is another than the server's."""
        return None if job.spec.mode == self.mode else job.spec.mode
