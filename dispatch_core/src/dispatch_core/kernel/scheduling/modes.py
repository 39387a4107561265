"""Modes: the policies a server knows by name. All order on the one scale of ``order_key``."""

from __future__ import annotations

from typing import Final

from dispatch_core.kernel.scheduling.policy import (
    FifoPolicy,
    FlowPolicy,
    MakespanPolicy,
    Policy,
    StrictPolicy,
)

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
