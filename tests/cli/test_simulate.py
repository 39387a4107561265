"""`dispatch simulate`: files in, a table, JSON or a page out, the same for the same seed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.cli.program import Program


@pytest.fixture
def files(program: Program, tmp_path: Path) -> tuple[str, str]:
    """A fleet and a small workload."""
    told = program.json("simulate", "example", str(tmp_path / "try"), "--works", "30")
    return told["fleet"], told["workload"]


def test_an_example_runs_as_it_is(program: Program, files: tuple[str, str]) -> None:
    """Everything is completed, and the same twice; another seed decides otherwise what goes wrong."""
    first = program("simulate", "run", *files).stdout
    assert first == program("simulate", "run", *files, "--seed", "0").stdout
    assert "seed 0; digest flow" in first
    told = program.json("simulate", "run", *files, "--seed", "3")
    assert (told["seed"], told["outcomes"][0]["completed"]) == (3, 30)
    assert len(told["outcomes"][0]["engines"]) == 8


def test_policies_stand_side_by_side(program: Program, files: tuple[str, str], tmp_path: Path) -> None:
    """All of them, or those that are named, each once; and a page with plots."""
    assert program("simulate", "compare", *files).stdout.split()[:4] == [
        "flow", "makespan", "fifo", "strict",
    ]  # fmt: skip
    page = tmp_path / "page.html"
    named = ("--policy", "fifo", "--policy", "flow", "--policy", "fifo")
    told = program.json("simulate", "compare", *files, *named, "--html", str(page))
    assert [each["policy"] for each in told["outcomes"]] == ["fifo", "flow"]
    assert set(told["outcomes"][0]["waits"]) == {"priority", "account"}
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_every_work_can_be_had(program: Program, files: tuple[str, str], tmp_path: Path) -> None:
    """A line of CSV for each work and policy."""
    results = tmp_path / "results.csv"
    program("simulate", "compare", *files, "--policy", "flow", "--policy", "fifo", "--results", str(results))
    with results.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    assert {row["policy"] for row in rows} == {"flow", "fifo"}
    assert all(
        row["state"] == "completed" and float(row["finished_s"]) > float(row["started_s"]) for row in rows
    )


def test_dials(program: Program, files: tuple[str, str]) -> None:
    """Without any cap the flow policy is first come, first served; time may be limited."""
    told = program.json("simulate", "run", *files, "--until", "10s")
    assert told["outcomes"][0]["until_s"] == 10
    assert told["outcomes"][0]["open"] > 0
    tight, usual = (
        program.json("simulate", "run", *files, *cap)["outcomes"][0] for cap in (("--cap", "0s"), ())
    )
    assert tight["digest"] != usual["digest"]


def test_mistakes_name_the_file(program: Program, files: tuple[str, str], tmp_path: Path) -> None:
    """One that is not there, one that is something else, one that would be written over."""
    fleet, workload = files
    assert "none.json: No such file" in program("simulate", "run", "none.json", workload, exit_code=2).stderr
    assert "workload.csv" in program("simulate", "run", workload, workload, exit_code=5).stderr
    (tmp_path / "w.csv").write_text("at_s,task_class,units\n0,h264,-1\n")
    wrong = program("simulate", "run", fleet, str(tmp_path / "w.csv"), "--json", exit_code=5).stderr
    assert "/line/2/units" in wrong
    assert "--force" in program("simulate", "example", str(Path(fleet).parent), exit_code=4).stderr
    assert "page" in program("simulate", "run", *files, "--html", "/nowhere/page.html", exit_code=2).stderr
