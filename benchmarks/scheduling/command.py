"""``python -m benchmarks scheduling``: the flags, the runs, the tables."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from benchmarks.machine import table
from benchmarks.scheduling.baselines import POLICIES
from benchmarks.scheduling.cases import PROCESSES, Case, Row, run_all
from benchmarks.scheduling.families import FAMILIES
from benchmarks.scheduling.scenario import JOBS, Key
from benchmarks.scheduling.table import by_family, over_families

QUICK_JOBS = 600


def _names(text: str) -> list[str]:
    return [each for each in text.split(",") if each]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks scheduling", description=__doc__)
    parser.add_argument("--families", type=_names, default=list(FAMILIES), help="of " + ",".join(FAMILIES))
    parser.add_argument("--policy", type=_names, default=list(POLICIES), help="of " + ",".join(POLICIES))
    parser.add_argument(
        "--loads", type=_names, default=["0.9"], help="relative to what the fleet could do at best"
    )
    parser.add_argument("--seeds", type=_names, default=None, help="1,2,3,4,5")
    parser.add_argument("--jobs", type=int, default=None, help=f"jobs a run: {JOBS}")
    parser.add_argument("--quick", action="store_true", help=f"seeds 1 and 2, {QUICK_JOBS} jobs")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    return parser


def cases_of(asked: argparse.Namespace) -> list[Case]:
    """Every family × load × seed × policy asked for."""
    jobs = asked.jobs or (QUICK_JOBS if asked.quick else JOBS)
    seeds = asked.seeds or (["1", "2"] if asked.quick else ["1", "2", "3", "4", "5"])
    return [
        Case(Key(family, float(load), int(seed), jobs), policy)
        for family in asked.families
        for load in asked.loads
        for policy in asked.policy
        for seed in seeds
    ]


def run(flags: Sequence[str] = ()) -> None:
    """Run what the flags ask for, and print it."""
    parser = _parser()
    asked = parser.parse_args(list(flags))
    for what, known in ((asked.families, FAMILIES), (asked.policy, POLICIES)):
        if unknown := [name for name in what if name not in known]:
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    show(run_all(cases_of(asked), asked.processes))


def show(rows: Mapping[Case, Row]) -> None:
    """Print the tables of plain runs."""
    lines = by_family(rows)
    print(table(list(lines)))
    print()
    print(table(list(over_families(lines))))
