"""``python -m benchmarks scheduling``: the flags, the runs, the tables."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from benchmarks.machine import keep, table
from benchmarks.scheduling.baselines import POLICIES
from benchmarks.scheduling.cases import PROCESSES, Case, Row, run_all
from benchmarks.scheduling.decision import SIZES, decision_rows
from benchmarks.scheduling.families import FAMILIES
from benchmarks.scheduling.goals import GOALS, Goal, goal_rows
from benchmarks.scheduling.scenario import JOBS, Key
from benchmarks.scheduling.table import by_family, by_run, over_families

QUICK_JOBS = 600
QUICK_SIZES = (1_000, 20_000)
DECISION = "13"
BESIDE = ("slurm", "wspt")
"""Policies that no goal is held against: two seeds show where they stand."""


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
    parser.add_argument(
        "--goals", type=_names, default=None, help="only these, for example 1,2,7; no other tables"
    )
    parser.add_argument("--detail", action="store_true", help="a line for every run, too")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    return parser


def _span(asked: argparse.Namespace) -> tuple[list[int], int]:
    """The seeds and the number of jobs."""
    jobs = asked.jobs or (QUICK_JOBS if asked.quick else JOBS)
    return [
        int(seed) for seed in asked.seeds or (["1", "2"] if asked.quick else ["1", "2", "3", "4", "5"])
    ], jobs


def main_cases(asked: argparse.Namespace) -> list[Case]:
    """Every family × load × seed × policy asked for."""
    seeds, jobs = _span(asked)
    return [
        Case(Key(family, float(load), seed, jobs), policy)
        for family in asked.families
        for load in asked.loads
        for policy in asked.policy
        for seed in (seeds[:2] if policy in BESIDE else seeds)
    ]


def goals_of(asked: argparse.Namespace) -> list[Goal]:
    """The goals asked for; without a word about them all, if the tables show what they need."""
    if asked.goals is not None:
        return [goal for goal in GOALS if str(goal.number) in asked.goals]
    return list(GOALS) if _whole(asked) else []


def _whole(asked: argparse.Namespace) -> bool:
    return (asked.families, asked.policy, asked.loads) == (list(FAMILIES), list(POLICIES), ["0.9"])


def parsed(flags: Sequence[str]) -> argparse.Namespace:
    """What the flags ask for. Names that are not known end the programme with a list of those that are."""
    parser = _parser()
    asked = parser.parse_args(list(flags))
    numbers = [*(str(goal.number) for goal in GOALS), DECISION]
    for what, known in ((asked.families, FAMILIES), (asked.policy, POLICIES), (asked.goals or [], numbers)):
        if unknown := [name for name in what if name not in known]:
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return asked


def run(flags: Sequence[str] = ()) -> None:
    """Run what the flags ask for, print it, and keep what is whole."""
    asked = parsed(flags)
    goals, keeps = goals_of(asked), _whole(asked) and not asked.quick
    seeds, jobs = _span(asked)
    plain = [] if asked.goals else main_cases(asked)
    rows = run_all([*plain, *(case for goal in goals for case in goal.cases(seeds, jobs))], asked.processes)
    show({case: rows[case] for case in plain})
    if plain and keeps:
        keep("scheduling-families", list(by_family({case: rows[case] for case in plain})))
    if asked.detail:
        print(f"{table(list(by_run(rows)))}\n")
    reached = goal_rows(goals, rows)
    if DECISION in asked.goals if asked.goals is not None else goals:
        reached += decision_rows(QUICK_SIZES if asked.quick else SIZES)
    if reached:
        print(table(list(reached)))
    if goals == list(GOALS) and keeps:
        keep("scheduling", list(reached))


def show(rows: Mapping[Case, Row]) -> None:
    """Print the tables of plain runs."""
    if rows:
        lines = by_family(rows)
        print(f"{table(list(lines))}\n\n{table(list(over_families(lines)))}\n")
