"""The kind of simulated jobs: a task class and an amount of work, nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from dispatch_core.simulation.workload import TaskClass, Units, Work
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.facts import FactType
from dispatch_core.vocabulary.jobs import Deadline, JobSize, JobSpec, Retry
from dispatch_core.vocabulary.kinds import TRANSCODE, JobKind

_ATTEMPTS = Retry(max_attempts=100)
"""Crashes are the subject of a simulation, so a job outlives as many of them as the core permits."""


@frozen(kw_only=True)
class SimulatedParameters:
    """What a simulated job is: its task class, and its work in units as declared."""

    task_class: TaskClass
    units: Units


def _task_class(parameters: Mapping[str, object], _size: JobSize) -> str:
    return str(parameters["task_class"])


def _units(parameters: Mapping[str, object], _size: JobSize) -> float:
    units = parameters["units"]
    assert isinstance(units, (int, float))
    return float(units)


SIMULATED = JobKind(
    name="simulated",
    shape=SimulatedParameters,
    facts={**TRANSCODE.facts, "task_class": FactType.SET},
    units=_units,
    task_class=_task_class,
    needs=lambda parameters: (f"task_class has {parameters['task_class']}",),
    nominal_s_per_unit=1.0,
)
"""Only engines whose fact ``task_class`` names a job's class can run it. Facts of ``transcode`` may be asked for too."""


def spec_of(work: Work, *, began_us: int | None = None) -> JobSpec:
    """The job that a work is submitted as; its deadline counts from ``began_us``, and without that is left out."""
    deadline = None
    if began_us is not None and work.deadline_s is not None:
        deadline = Deadline(at_us=began_us + to_us(work.at_s + work.deadline_s), hard=work.hard)
    return JobSpec(
        kind=SIMULATED.name,
        parameters={"task_class": work.task_class, "units": work.units},
        priority=work.priority,
        requirements=work.requirements,
        retry=_ATTEMPTS,
        deadline=deadline,
        account=work.account or None,
        campaign=work.campaign or None,
        mode=work.mode or None,
        note=work.name,
    )
