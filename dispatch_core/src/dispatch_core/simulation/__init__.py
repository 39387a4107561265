"""A simulator of fleets: what would become of these jobs on these engines, by the dispatcher's own decisions.

``simulate`` drives the real dispatcher and store with a virtual clock; fleets and workloads are values.
"""

from dispatch_core.simulation.fleet import EngineType, FleetPlan
from dispatch_core.simulation.kind import SIMULATED, spec_of
from dispatch_core.simulation.outcome import EngineOutcome, Outcome, RunOutcome, WorkOutcome, mean, quantile
from dispatch_core.simulation.run import policy_name, simulate
from dispatch_core.simulation.workload import Work, Workload

__all__ = [
    "SIMULATED",
    "EngineOutcome",
    "EngineType",
    "FleetPlan",
    "Outcome",
    "RunOutcome",
    "Work",
    "WorkOutcome",
    "Workload",
    "mean",
    "policy_name",
    "quantile",
    "simulate",
    "spec_of",
]
