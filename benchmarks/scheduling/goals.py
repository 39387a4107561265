"""The goals: what must be reached, what would be splendid, and what was measured, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import ge, le

from attrs import frozen

from benchmarks.scheduling.cases import Case, Row
from benchmarks.scheduling.experiments import PLAIN
from benchmarks.scheduling.families import DEVELOPMENT, HOLD_OUT
from benchmarks.scheduling.measures import geo_mean
from benchmarks.scheduling.scenario import Key

LOAD = 0.9
Rows = Mapping[Case, Row]


@frozen(kw_only=True)
class Line:
    """One figure beside its two limits; ``holds`` compares the figure with a limit."""

    what: str
    value: Callable[[Rows], float]
    must: float
    moonshot: float | None = None
    holds: Callable[[float, float], bool] = le


@frozen(kw_only=True)
class Goal:
    """Some lines, and the runs they are computed from."""

    number: int
    cases: Callable[[Sequence[int], int], Iterable[Case]]
    lines: tuple[Line, ...]


def cases(
    families: Iterable[str],
    policies: Iterable[str],
    *,
    loads: Iterable[float] = (LOAD,),
    experiments: Iterable[str] = (PLAIN,),
    seeds_max: int = 5,
) -> Callable[[Sequence[int], int], list[Case]]:
    """Every combination, for as many of the seeds as the goal wants."""
    return lambda seeds, jobs: [
        Case(Key(family, load, seed, jobs), policy, experiment)
        for family in families
        for load in loads
        for seed in seeds[:seeds_max]
        for policy in policies
        for experiment in experiments
    ]


def rows_of(
    rows: Rows,
    families: Iterable[str],
    policy: str,
    experiment: str = PLAIN,
    loads: Iterable[float] = (LOAD,),
) -> dict[Key, Row]:
    """The rows of one policy and experiment, by scenario."""
    wanted, at = set(families), set(loads)
    return {
        case.key: row
        for case, row in rows.items()
        if case.policy == policy and case.experiment == experiment
        and case.key.family in wanted and case.key.load in at
    }  # fmt: skip


def over_families(found: Mapping[Key, float]) -> dict[str, float]:
    """The geometric mean of each family over its seeds and loads."""
    families = dict.fromkeys(key.family for key in found)
    return {name: geo_mean(value for key, value in found.items() if key.family == name) for name in families}


def field(found: Mapping[Key, Row], name: str) -> dict[Key, float]:
    """One figure of each row."""
    return {key: row[name] for key, row in found.items()}


def ratio(above: Mapping[Key, float], below: Mapping[Key, float]) -> dict[Key, float]:
    """One over the other, scenario by scenario, where both were run."""
    return {key: value / below[key] for key, value in above.items() if key in below}


def _beside(rows: Rows, families: Iterable[str], other: str) -> dict[Key, float]:
    names = list(families)
    return ratio(field(rows_of(rows, names, "ours"), "flow_s"), field(rows_of(rows, names, other), "flow_s"))


def _bound(families: Iterable[str], rows: Rows) -> dict[str, float]:
    return over_families(field(rows_of(rows, families, "ours"), "x_bound"))


def _geo(found: Mapping[Key, float]) -> float:
    return geo_mean(over_families(found).values())


BOTH = (*DEVELOPMENT, *HOLD_OUT)
MAIN = cases(BOTH, ("ours", "fifo", "priority"))

DISTANCE = (
    Goal(number=1, cases=cases(BOTH, ("ours",)), lines=(
        Line(what="weighted flow ÷ bound, development", must=1.35, moonshot=1.18,
             value=lambda rows: geo_mean(_bound(DEVELOPMENT, rows).values())),
        Line(what="weighted flow ÷ bound, our hold-out", must=1.35, moonshot=1.18,
             value=lambda rows: geo_mean(_bound(HOLD_OUT, rows).values())),
    )),
    Goal(number=2, cases=cases(BOTH, ("ours",)), lines=(
        Line(what="the same, worst family", must=1.60, moonshot=1.40,
             value=lambda rows: max(_bound(BOTH, rows).values())),
    )),
    Goal(number=3, cases=MAIN, lines=(
        Line(what="weighted flow ÷ FIFO, development", must=0.16, moonshot=0.125,
             value=lambda rows: _geo(_beside(rows, DEVELOPMENT, "fifo"))),
        Line(what="weighted flow ÷ FIFO, our hold-out", must=0.08, moonshot=0.06,
             value=lambda rows: _geo(_beside(rows, HOLD_OUT, "fifo"))),
        Line(what="weighted flow ÷ FIFO, worst run", must=0.65,
             value=lambda rows: max(_beside(rows, BOTH, "fifo").values())),
    )),
    Goal(number=4, cases=MAIN, lines=(
        Line(what="weighted flow ÷ priority FIFO, development", must=0.26, moonshot=0.20,
             value=lambda rows: _geo(_beside(rows, DEVELOPMENT, "priority"))),
        Line(what="weighted flow ÷ priority FIFO, our hold-out", must=0.13, moonshot=0.10,
             value=lambda rows: _geo(_beside(rows, HOLD_OUT, "priority"))),
        Line(what="weighted flow ÷ priority FIFO, worst run", must=0.85,
             value=lambda rows: max(_beside(rows, BOTH, "priority").values())),
    )),
    Goal(number=5, cases=cases(DEVELOPMENT, ("ours",)), lines=(
        Line(what="p99 bounded slowdown, worst development family", must=13, moonshot=8,
             value=lambda rows: max(over_families(field(rows_of(rows, DEVELOPMENT, "ours"), "sd99")).values())),
    )),
)  # fmt: skip

# ------------------------------------------------------------------------------- priorities, estimates, chaos

STRESSED, HEAVY = ("video", "aws", "genai"), (1.0, 1.2)
VARIED, MIXED = ("video", "random", "related", "aws", "genai"), (0.9, 1.2)
AFFINE = ("video", "random", "aws")


def _by_priority(rows: Rows, level: int, other: str, beside: str) -> float:
    mine, theirs = (rows_of(rows, STRESSED, policy, loads=HEAVY) for policy in ("ours", other))
    return geo_mean(ratio(field(mine, f"flow_p{level}_s"), field(theirs, beside)).values())


def _declared(rows: Rows, experiment: str) -> float:
    worse, exact = (rows_of(rows, VARIED, "ours", name, MIXED) for name in (experiment, "exact"))
    return geo_mean(ratio(field(worse, "flow_s"), field(exact, "flow_s")).values())


def _chaos(rows: Rows) -> float:
    mine, fifo = (rows_of(rows, AFFINE, policy, "chaos", (0.8,)) for policy in ("ours", "fifo"))
    return _geo(ratio(field(mine, "flow_s"), field(fifo, "flow_s")))


def _undone(rows: Rows) -> float:
    return sum(row["jobs"] - row["done"] for case, row in rows.items() if case.policy == "ours")


def _closed(rows: Rows) -> float:
    """The share of the gap between benchmarks alone and the truth that learning closes."""
    alone, learned, truth = (
        _geo(field(rows_of(rows, AFFINE, "ours", name, (0.8,)), "flow_s"))
        for name in ("unlearned", "misjudged", "oracle")
    )
    return (alone - learned) / (alone - truth) if alone != truth else 0.0


ROBUSTNESS = (
    Goal(number=6, cases=cases(STRESSED, ("ours", "fifo", "priority"), loads=HEAVY, seeds_max=1), lines=(
        Line(what="mean flow of the top priority ÷ priority FIFO's", must=1.0,
             value=lambda rows: _by_priority(rows, 3, "priority", "flow_p3_s")),
        Line(what="mean flow of the lowest priority ÷ FIFO's mean", must=0.4,
             value=lambda rows: _by_priority(rows, 0, "fifo", "mean_flow_s")),
    )),
    Goal(number=7, lines=(
        Line(what="estimates off by sigma 0.7 ÷ exact ones", must=1.15, moonshot=1.08,
             value=lambda rows: _declared(rows, "sigma 0.7")),
        Line(what="class means only ÷ exact estimates", must=1.5, moonshot=1.3,
             value=lambda rows: _declared(rows, "class means")),
    ), cases=cases(VARIED, ("ours",), loads=MIXED, experiments=("exact", "sigma 0.7", "class means"), seeds_max=1)),
    Goal(number=8, cases=cases(AFFINE, ("ours", "fifo"), loads=(0.8,), experiments=("chaos",), seeds_max=2), lines=(
        Line(what="chaos, load 0.8: weighted flow ÷ FIFO", must=0.10, moonshot=0.075, value=_chaos),
        Line(what="jobs of any run that did not end with one accepted result", must=0, value=_undone),
    )),
    Goal(number=9, lines=(
        Line(what="share of the gap from benchmarks to truth that learning closes", must=0.65, moonshot=0.85,
             holds=ge, value=_closed),
    ), cases=cases(AFFINE, ("ours",), loads=(0.8,), experiments=("unlearned", "misjudged", "oracle"), seeds_max=2)),
)  # fmt: skip

# ---------------------------------------------------------------------------- floods, starvation, makespan

FLOODED = ("video", "aws", "random", "related")


def _small(rows: Rows) -> float:
    return _geo(field(rows_of(rows, FLOODED, "ours", "flood"), "small_sd99"))


def _fair_cost(rows: Rows) -> float:
    fair, unfair = (rows_of(rows, FLOODED, "ours", name) for name in ("flood", "flood, no shares"))
    return geo_mean(ratio(field(fair, "flow_s"), field(unfair, "flow_s")).values()) - 1


def _longest(rows: Rows) -> float:
    mine = rows_of(rows, STRESSED, "ours", "cap 1 h", HEAVY)
    fifo = rows_of(rows, STRESSED, "fifo", loads=HEAVY)
    return geo_mean(ratio(field(mine, "max_wait_s"), field(fifo, "max_wait_s")).values())


def _makespans(rows: Rows) -> dict[str, float]:
    return over_families(field(rows_of(rows, VARIED, "ours", "makespan"), "x_makespan"))


LIMITS = (
    Goal(number=10, lines=(
        Line(what="flood: p99 slowdown of the small accounts", must=9, moonshot=7, value=_small),
        Line(what="flood: what shares cost in weighted flow", must=0.06, moonshot=0.03, value=_fair_cost),
    ), cases=cases(FLOODED, ("ours",), experiments=("flood", "flood, no shares"), seeds_max=1)),
    Goal(number=11, lines=(
        Line(what="longest wait with a cap of 1 h ÷ FIFO's", must=0.9, value=_longest),
    ), cases=lambda seeds, jobs: [
        *cases(STRESSED, ("ours",), loads=HEAVY, experiments=("cap 1 h",), seeds_max=1)(seeds, jobs),
        *cases(STRESSED, ("fifo",), loads=HEAVY, seeds_max=1)(seeds, jobs),
    ]),
    Goal(number=12, cases=cases(VARIED, ("ours",), experiments=("makespan",), seeds_max=1), lines=(
        Line(what="makespan mode ÷ max(LP, longest job)", must=1.15, moonshot=1.06,
             value=lambda rows: geo_mean(_makespans(rows).values())),
        Line(what="the same, worst family", must=1.30,
             value=lambda rows: max(_makespans(rows).values())),
    )),
    Goal(number=14, cases=cases(("video",), ("ours",), experiments=("at once",), seeds_max=2), lines=(
        Line(what="video: throughput until 90 % are done ÷ LP capacity", must=0.80, moonshot=0.95, holds=ge,
             value=lambda rows: geo_mean(field(rows_of(rows, ("video",), "ours", "at once"), "capacity").values())),
    )),
)  # fmt: skip

GOALS = (*DISTANCE, *ROBUSTNESS, *LIMITS)


def goal_rows(goals: Sequence[Goal], rows: Rows) -> list[dict[str, object]]:
    """The table: a row per line, with what was reached."""
    return [_shown(goal.number, line, line.value(rows)) for goal in goals for line in goal.lines]


def _shown(number: int, line: Line, value: float) -> dict[str, object]:
    sign = "≤" if line.holds is le else "≥"
    reached = "must" if line.holds(value, line.must) else "missed"
    if line.moonshot is not None and line.holds(value, line.moonshot):
        reached = "moonshot"
    return {
        "#": number,
        "goal": line.what,
        "must": f"{sign} {line.must:g}",
        "moonshot": "" if line.moonshot is None else f"{sign} {line.moonshot:g}",
        "measured": round(value, 3),
        "reached": reached,
    }
