"""Run benchmarks: ``python -m benchmarks [--quick] [suite …]``; without names, all of them; then the table of goals.

Results are kept in ``benchmarks/results``, of a quick run in ``benchmarks/results/local``, which git does not keep.
``python -m benchmarks scheduling --help`` has flags of its own.
"""

from __future__ import annotations

import argparse
import importlib
import sys

import attrs

from benchmarks.goals import goal_rows, kept_figures
from benchmarks.machine import LOCAL_RESULTS, RESULTS, facts, keep, table
from benchmarks.suite import Outcome, Scale, tell

SUITES = {
    "library": "benchmarks.library",
    "startup": "benchmarks.startup",
    "servers": "benchmarks.servers",
    "classes": "benchmarks.classes",
    "backlog": "benchmarks.backlog",
    "http": "benchmarks.http.suite",
    "postgres": "benchmarks.postgres",
    "commit": "benchmarks.commit",
    "explain": "benchmarks.explain",
    "profile": "benchmarks.profile",
    "edge": "benchmarks.http.edge",
}
NO_GOALS = {"commit", "explain", "profile", "edge"}
"""Left out of a quick run unless they are named."""
SCHEDULING = "scheduling"


def main(arguments: list[str]) -> int:
    """Run the suites named."""
    if arguments[:1] == [SCHEDULING]:
        from benchmarks.scheduling import command  # needs numpy and scipy, which the others do not

        command.run(arguments[1:])
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "suites", nargs="*", help=f"of {', '.join(SUITES)} (or {SCHEDULING}, alone); all if none"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep quick results beside full ones, marked as quick"
    )
    parser.add_argument(
        "--quick", action="store_true", help="three minutes instead of half an hour: small backlogs"
    )
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.suites if name not in SUITES]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(SUITES)}")
    folder = LOCAL_RESULTS if asked.quick and not asked.keep else RESULTS
    print(", ".join(f"{name} {value}" for name, value in facts().items()))
    for name in asked.suites or [name for name in SUITES if not (asked.quick and name in NO_GOALS)]:
        tell(f"{name} …")
        suite = importlib.import_module(SUITES[name])
        outcome: Outcome = suite.run(Scale(quick=asked.quick))
        figures = {key: attrs.asdict(figure) for key, figure in outcome.figures.items()}
        keep(name, outcome.rows, folder, reduced=asked.quick, figures=figures, notes=outcome.notes)
        print(f"\n## {name}: {(suite.__doc__ or '').strip()}\n\n{table(outcome.rows)}\n")
        print("\n".join(f"- {note}" for note in outcome.notes))
    print("\n## Goals: of the newest results kept" + (", with small backlogs" if asked.quick else "") + "\n")
    print(table(goal_rows(kept_figures(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
