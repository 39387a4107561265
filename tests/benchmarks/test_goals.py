"""The table of goals is computed from the runs it names, and says what was reached."""

from __future__ import annotations

from operator import ge

import pytest

from benchmarks.scheduling.baselines import POLICIES
from benchmarks.scheduling.cases import Case, changed
from benchmarks.scheduling.command import main_cases, parsed
from benchmarks.scheduling.experiments import EXPERIMENTS
from benchmarks.scheduling.families import FAMILIES
from benchmarks.scheduling.goals import GOALS, Goal, Line, goal_rows
from benchmarks.scheduling.measures import row_of
from benchmarks.scheduling.scenario import Key
from benchmarks.scheduling.table import by_family, by_run, over_families
from dispatch_core.simulation import simulate

ROW = {"x_bound": 1.2, "sd50": 1, "sd95": 2, "sd99": 8.5, "max_wait_s": 10, "deadlines": 1, "wall_s": 1}


def pretended(case: Case) -> dict[str, float]:
    """Ours is ten times as good as any other."""
    flow = 10.0 if case.policy == "ours" else 100.0
    levels = {f"flow_p{level}_s": flow for level in range(4)}
    return {**ROW, **levels, "flow_s": flow, "mean_flow_s": flow, "small_sd99": 5, "jobs": 3, "done": 3,
            "x_makespan": 1.1, "capacity": 0.9}  # fmt: skip


def test_every_goal_is_computed_from_runs_that_exist() -> None:
    """Goal 13 apart, which is no matter of simulations."""
    asked = [case for goal in GOALS for case in goal.cases([1, 2], 30)]
    assert {case.policy for case in asked} <= POLICIES.keys()
    assert {case.experiment for case in asked} <= EXPERIMENTS.keys()
    assert {case.key.family for case in asked} == FAMILIES.keys()
    reached = goal_rows(GOALS, {case: pretended(case) for case in asked})
    assert {row["#"] for row in reached} == {*range(1, 15)} - {13}
    shown = {str(row["goal"]): (row["measured"], row["reached"]) for row in reached}
    assert shown["weighted flow ÷ bound, development"] == (1.2, "must")
    assert shown["weighted flow ÷ FIFO, development"] == (0.1, "moonshot")
    assert shown["p99 bounded slowdown, worst development family"] == (8.5, "must")


def test_a_goal_may_ask_for_at_least() -> None:
    """And what lies on the other side is missed."""
    goal = Goal(number=1, cases=lambda seeds, jobs: [], lines=(
        Line(what="share", value=lambda rows: 0.7, must=0.65, moonshot=0.85, holds=ge),
        Line(what="more", value=lambda rows: 0.6, must=0.65, holds=ge),
    ))  # fmt: skip
    assert [(row["must"], row["reached"]) for row in goal_rows([goal], {})] == [
        ("≥ 0.65", "must"), ("≥ 0.65", "missed"),
    ]  # fmt: skip


def test_the_tables_hold_each_policy_against_the_others() -> None:
    """Geometric means over the seeds, then over the families."""
    rows = {case: pretended(case) for case in main_cases(parsed(["--quick", "--families", "aws,video"]))}
    assert len(by_run(rows)) == len(rows) == 2 * 2 * len(POLICIES)
    lines = by_family(rows)
    assert [line["÷ fifo"] for line in lines if line["policy"] == "ours"] == [pytest.approx(0.1)] * 2
    assert {line["policy"]: line["families"] for line in over_families(lines)} == dict.fromkeys(POLICIES, 2)


@pytest.mark.parametrize("flags", [["--families", "nope"], ["--policy", "best"], ["--goals", "15"]])
def test_unknown_names_are_refused(flags: list[str]) -> None:
    """With a list of what there is."""
    with pytest.raises(SystemExit):
        parsed(flags)


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_every_experiment_runs(name: str) -> None:
    """On a few jobs, all of which end; so few are over so soon that a crash may cost one all its attempts."""
    experiment = EXPERIMENTS[name]
    given = changed(Case(Key("aws", jobs=25), "ours", name))
    policy = experiment.policy() if experiment.policy else None
    outcome = simulate(given.fleet, given.workload, policy=policy, settings=experiment.settings)
    assert all(work.state in ("completed", "failed") for work in outcome.works)
    assert row_of(given, outcome)["done"] >= (24 if name == "chaos" else 25)
