"""The benchmark of speed tells what was measured of every goal, met, missed or not measured."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from benchmarks.__main__ import SUITES, main
from benchmarks.goals import GOALS, goal_rows, kept_figures
from benchmarks.library import batched, submitted, threaded
from benchmarks.limits import raw_lifecycles, sqlalchemy_lifecycles
from benchmarks.machine import keep
from benchmarks.suite import compared, in_turns


def test_every_goal_has_a_row_and_a_missed_one_says_so() -> None:
    """P1 to P12; at least and at most; what nobody measured is not called reached."""
    rows = goal_rows({"P1": {"value": 2.9}, "P2": {"value": 0.35}, "P8": {"value": 120}})
    reached = {row["goal"]: row["reached"] for row in rows if row["reached"] != "–"}
    assert list(reached.values()) == ["**missed**", "must", "moonshot"]
    assert {row["#"] for row in rows} == {f"P{number}" for number in range(1, 13)}
    assert len(rows) == len(GOALS) == len({goal.key for goal in GOALS})


def test_every_moonshot_is_beyond_its_must() -> None:
    """Whoever reaches the moon has done what must be."""
    for goal in GOALS:
        assert goal.reached(goal.moonshot) == "moonshot"
        assert goal.reached(goal.must) == "must"


def test_figures_are_found_again_with_what_they_were_measured_on(tmp_path: Path) -> None:
    """Kept as JSON beside the facts of the machine."""
    keep("library", [], tmp_path, reduced=True, figures={"P1": {"value": 3.5, "beside": "7 ÷ 2"}})
    assert {"cores", "python", "sqlite"} <= json.loads((tmp_path / "library.json").read_text())[
        "machine"
    ].keys()
    found = kept_figures(tmp_path)["P1"]
    assert (found["value"], found["beside"], found["reduced"]) == (3.5, "7 ÷ 2", True)


def test_things_are_measured_in_turns_and_compared_round_by_round() -> None:
    """Every other round the other way round; the ratio is the median of the rounds' ratios."""
    order: list[str] = []
    figures = iter([10.0, 5.0, 2.0, 8.0, 30.0, 10.0])

    def measured(name: str) -> float:
        order.append(name)
        return next(figures)

    rounds = in_turns(3, {"ours": partial(measured, "ours"), "theirs": partial(measured, "theirs")})
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert compared(rounds, "ours", "theirs").value == 3.0


def test_ours_and_the_limits_finish_lifecycles(tmp_path: Path) -> None:
    """Each of them completes something in a moment."""
    moments = [
        threaded(str(tmp_path / "threads.db"), 4, 0.05),
        batched(str(tmp_path / "calls.db"), 10, 0.05),
        submitted(str(tmp_path / "many.db"), 0.01, 10),
        raw_lifecycles(tmp_path, 10, 0.01),
        sqlalchemy_lifecycles(tmp_path, 10, 0.01),
    ]
    assert all(rate > 0 for rate in moments)


def test_a_suite_that_does_not_exist_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names of those there are."""
    with pytest.raises(SystemExit):
        main(["liberry"])
    said = capsys.readouterr().err
    assert "liberry" in said
    assert all(name in said for name in SUITES)
