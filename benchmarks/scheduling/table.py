"""The tables people read: per family and policy, and the geometric means over families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.scheduling.cases import Case, Row
from benchmarks.scheduling.measures import geo_mean
from benchmarks.scheduling.scenario import Key

SHOWN = ("sd50", "sd95", "sd99", "max_wait_s", "deadlines", "wall_s")


def by_family(rows: Mapping[Case, Row]) -> list[dict[str, object]]:
    """One line per family, load and policy, over the seeds: geometric means of ratios, means of the others."""
    lines: dict[tuple[str, float, str], dict[Key, Row]] = {}
    for case, row in rows.items():
        lines.setdefault((case.key.family, case.key.load, case.policy), {})[case.key] = row
    return [
        {
            "family": family,
            "load": load,
            "policy": policy,
            "× bound": geo_mean(row["x_bound"] for row in found.values()),
            "÷ fifo": _beside(lines.get((family, load, "fifo")), found),
            "÷ priority": _beside(lines.get((family, load, "priority")), found),
            **{name: sum(row[name] for row in found.values()) / len(found) for name in SHOWN},
        }
        for (family, load, policy), found in lines.items()
    ]


def _beside(others: Mapping[Key, Row] | None, found: Mapping[Key, Row]) -> object:
    if others is None:
        return ""
    return geo_mean(row["flow_s"] / others[key]["flow_s"] for key, row in found.items() if key in others)


RUN = ("x_bound", "x_makespan", "sd99", "small_sd99", "max_wait_s", "capacity", "mean_flow_s", "wall_s")


def by_run(rows: Mapping[Case, Row]) -> list[dict[str, object]]:
    """One line per run."""
    return [
        {
            "family": case.key.family,
            "load": case.key.load,
            "seed": case.key.seed,
            "policy": case.policy,
            "experiment": case.experiment,
            **{name: row.get(name, "") for name in RUN},
        }
        for case, row in rows.items()
    ]


def over_families(lines: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """One line per load and policy: the geometric mean over families, and the worst."""
    found: dict[tuple[object, object], list[float]] = {}
    for line in lines:
        value = line["× bound"]
        assert isinstance(value, float)
        found.setdefault((line["load"], line["policy"]), []).append(value)
    return [
        {
            "load": load,
            "policy": policy,
            "families": len(values),
            "× bound": geo_mean(values),
            "worst": max(values),
        }
        for (load, policy), values in found.items()
    ]
