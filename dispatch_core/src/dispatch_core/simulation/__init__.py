"""A simulator of fleets: what would become of these jobs on these engines, by the dispatcher's own decisions.

``simulate`` drives the real dispatcher and store with a virtual clock; fleets and workloads are values.
"""

from dispatch_core.simulation.examples import example_fleet, example_workload
from dispatch_core.simulation.fleet import EngineType, FleetPlan
from dispatch_core.simulation.forking import Fork, fork
from dispatch_core.simulation.kind import SIMULATED, spec_of
from dispatch_core.simulation.measures import MEASURES, Measure, in_words, measures, waits
from dispatch_core.simulation.outcome import EngineOutcome, Outcome, RunOutcome, WorkOutcome, mean, quantile
from dispatch_core.simulation.report import html_report, text_report, what_if_report
from dispatch_core.simulation.run import policy_name, simulate
from dispatch_core.simulation.stage import SETTINGS, OpenStorage
from dispatch_core.simulation.traces import (
    fleet_from,
    read_fleet,
    read_workload,
    workload_from,
    write_fleet,
    write_results,
    write_workload,
)
from dispatch_core.simulation.whatif import Changes, Shift, WhatIf, what_if
from dispatch_core.simulation.workload import Work, Workload

__all__ = [
    "MEASURES",
    "SETTINGS",
    "SIMULATED",
    "Changes",
    "EngineOutcome",
    "EngineType",
    "FleetPlan",
    "Fork",
    "Measure",
    "OpenStorage",
    "Outcome",
    "RunOutcome",
    "Shift",
    "WhatIf",
    "Work",
    "WorkOutcome",
    "Workload",
    "example_fleet",
    "example_workload",
    "fleet_from",
    "fork",
    "html_report",
    "in_words",
    "mean",
    "measures",
    "policy_name",
    "quantile",
    "read_fleet",
    "read_workload",
    "simulate",
    "spec_of",
    "text_report",
    "waits",
    "what_if",
    "what_if_report",
    "workload_from",
    "write_fleet",
    "write_results",
    "write_workload",
]
