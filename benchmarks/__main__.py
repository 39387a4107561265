"""Run benchmarks: ``python -m benchmarks [name …]``; without names, the short ones.

``python -m benchmarks scheduling --help`` has flags of its own.
"""

from __future__ import annotations

import sys

from benchmarks import backlog, commit, explain
from benchmarks.machine import facts

SUITES = {"commit": commit.run, "backlog": backlog.run, "explain": explain.run}
SCHEDULING = "scheduling"


def main(names: list[str]) -> int:
    """Run the suites named."""
    if names[:1] == [SCHEDULING]:
        from benchmarks.scheduling import command  # needs numpy and scipy, which the others do not

        command.run(names[1:])
        return 0
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print(
            f"no benchmark is called {', '.join(unknown)}; there are: {', '.join([*SUITES, SCHEDULING])}",
            file=sys.stderr,
        )
        return 2
    print(", ".join(f"{name} {value}" for name, value in facts().items()))
    for name in names or list(SUITES):
        print(f"\n## {name}: {(sys.modules[SUITES[name].__module__].__doc__ or '').strip()}\n")
        SUITES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
