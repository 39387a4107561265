"""A fleet and a workload as arrays: what the linear programmes and the lower bound are computed from."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from dispatch_core.simulation import FleetPlan, Workload

Floats = NDArray[np.float64]


@frozen(eq=False)
class Instance:
    """``seconds[j, g]``: the true run time of a job on an engine of a group, infinite where it cannot run."""

    release: Floats
    weight: Floats
    seconds: Floats
    slots: Floats

    @property
    def best(self) -> Floats:
        """Each job's time on the fastest engine."""
        found: Floats = self.seconds.min(axis=1)
        return found


def instance_of(fleet: FleetPlan, workload: Workload) -> Instance:
    """Groups are the engine types; the weight of a job is 2 to the power of its priority."""
    works = workload.works
    classes = {name: number for number, name in enumerate(sorted({work.task_class for work in works}))}
    per_unit = np.array(
        [
            [1 / kind.speeds[name] if kind.speeds.get(name) else np.inf for kind in fleet.types]
            for name in classes
        ]
    )
    units = np.array([work.units if work.work is None else work.work for work in works])
    return Instance(
        release=np.array([work.at_s for work in works], dtype=np.float64),
        weight=np.array([2.0**work.priority for work in works]),
        seconds=units[:, None] * per_unit[[classes[work.task_class] for work in works]],
        slots=np.array([kind.count * kind.slots for kind in fleet.types], dtype=np.float64),
    )


def drain_s(demand: Floats, per_unit: Floats, slots: Floats) -> float:
    """The least time in which the fleet can do all the work, if it may be split at will (a linear programme).

    ``demand`` are units by class, ``per_unit`` seconds by (class, group): minimise T such that the shares of
    each class add up to 1 and no group works for more than T a slot.
    """
    from scipy.optimize import linprog  # half a second to import, for one function

    classes, groups = per_unit.shape
    able = np.isfinite(per_unit)
    cost = np.append(np.zeros(classes * groups), 1.0)
    whole = np.zeros((classes, classes * groups + 1))
    busy = np.zeros((groups, classes * groups + 1))
    for number in range(classes):
        whole[number, number * groups : (number + 1) * groups] = 1.0
        for group in range(groups):
            if able[number, group]:
                busy[group, number * groups + group] = demand[number] * per_unit[number, group]
    busy[:, -1] = -slots
    bounds = [(0.0, None if each else 0.0) for each in able.ravel()] + [(0.0, None)]
    found = linprog(cost, A_ub=busy, b_ub=np.zeros(groups), A_eq=whole, b_eq=np.ones(classes), bounds=bounds)
    if found.status != 0:
        raise ValueError(f"no engine runs some class: {found.message}")
    return float(found.fun)


def drain_of(fleet: FleetPlan, demand: dict[str, float]) -> float:
    """``drain_s`` for units by task class."""
    names = sorted(demand)
    per_unit = [
        [1 / kind.speeds[name] if kind.speeds.get(name) else np.inf for kind in fleet.types] for name in names
    ]
    slots = np.array([kind.count * kind.slots for kind in fleet.types], dtype=np.float64)
    return drain_s(np.array([demand[name] for name in names]), np.array(per_unit), slots)
