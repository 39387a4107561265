"""Fleets and workloads as files: written and read they are what they were, and mistakes are named by their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatch_core import (
    Benchmark,
    Deadline,
    Dispatcher,
    FactValue,
    InvalidCommandError,
    JobKind,
    JobSpec,
    ManualClock,
    Profile,
)
from dispatch_core.simulation import (
    EngineType,
    FleetPlan,
    Work,
    Workload,
    fleet_from,
    read_fleet,
    read_workload,
    workload_from,
    write_fleet,
    write_workload,
)
from dispatch_core.storage import MemoryStorage
from tests.simulation.fleets import busy, stormy

ODD = Work(1.5, 'a,b "c"', 2, work=3, priority=-4, account="zoe.2", requirements=("tag has a", "memory_gb >= 3"),
           deadline_s=0.25, hard=True, name="Zoë,\ntwo lines", campaign="Zoë, 1; 2", mode="makespan")  # fmt: skip


def problems(path: Path) -> list[str]:
    with pytest.raises(InvalidCommandError) as refused:
        (read_fleet if path.suffix == ".json" else read_workload)(path)
    return [f"{each.path} {each.message}" for each in refused.value.problems]


@pytest.mark.parametrize("name", ["day.csv", "day.jsonl"])
def test_a_workload_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    """To the last digit, whatever its texts hold."""
    works = (*busy(10).works, ODD)
    write_workload(tmp_path / name, Workload(works))
    assert read_workload(tmp_path / name) == Workload(works, name="day")


def test_a_fleet_comes_back_as_it_was(tmp_path: Path) -> None:
    """Facts and speeds included."""
    facts: dict[str, FactValue] = {"tag": ("a", "b"), "memory_gb": 2.5, "streaming": True, "ffmpeg": "7.1"}
    fleet = FleetPlan((*stormy().types, EngineType(name="odd", speeds={}, reported={"x": 1.0}, facts=facts)))
    write_fleet(tmp_path / "fleet.json", fleet)
    assert read_fleet(tmp_path / "fleet.json") == fleet


def test_csv_needs_three_columns(tmp_path: Path) -> None:
    """In any order; empty cells are as if they were not there."""
    path = tmp_path / "w.CSV"
    path.write_text("\ufeffunits,task_class,priority,at_s\n5,h264,,0\n", encoding="utf-8")
    assert read_workload(path).works == (Work(0.0, "h264", 5.0),)


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("w.csv", "at_s,task_class,units\n1,a,x\n,a,1\n", ["/line/2/units must be a number", "/line/3/at_s is required"]),
        ("w.csv", "at_s,task_class,unit\n", ["/line/1 'unit' is no column"]),
        ("w.csv", "at_s,task_class,units\n1,a,1,9\n", ["/line/2 has more cells"]),
        ("w.csv", 'at_s,task_class,units\n1,"a"b,1\n', ["/line/2 is not CSV"]),
        ("w.jsonl", '{"at_s": 1}\n', ["/line/1/task_class is required", "/line/1/units is required"]),
        ("w.jsonl", '\n{"at_s": 0, "task_class": "a", "units": 1, "prio": 1}', ["/line/2/prio is not a known field; did you mean 'priority'"]),
        ("w.jsonl", "nonsense", ["/line/1 is not JSON"]),
        ("fleet.json", "[", [" fleet.json is not JSON"]),
        ("fleet.json", '{"types": [{"name": "a", "speeds": {"x": "1"}}]}', ["/types/0/speeds"]),
        ("fleet.json", '{"types": [{"name": "a", "speeds": {}, "slot": 1}]}', ["/types/0/slot is not a known field; did you mean 'slots'"]),
    ],
)  # fmt: skip
def test_mistakes_are_named_by_their_place(tmp_path: Path, name: str, text: str, wrong: list[str]) -> None:
    """Line and field, and what would be right."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = problems(tmp_path / name)
    assert len(found) == len(wrong)
    assert all(each.startswith(start) for each, start in zip(found, wrong, strict=True))


def test_what_a_live_store_was_asked_is_a_workload() -> None:
    """Instants from the first submission on, task classes and units by the jobs' own kinds."""
    clock = ManualClock()
    resize = JobKind(name="resize", units=lambda parameters, _size: float(len(str(parameters["images"]))))
    with Dispatcher(MemoryStorage(clock), kinds=[resize]) as dispatcher:
        clock.advance(100)
        spec = JobSpec(
            kind="resize", parameters={"images": "12345"}, requirements=("tag has gpu",), note="first"
        )
        dispatcher.submit(spec)
        clock.advance(7.5)
        due = Deadline(at_us=clock.now_us() + 3_000_000, hard=True)
        job = dispatcher.submit(
            JobSpec(
                kind="resize",
                parameters={"images": ""},
                priority=5,
                account="ann",
                deadline=due,
                campaign="Zoë 1",
                mode="fifo",
            )
        )
        workload = workload_from(dispatcher, name="yesterday")
    assert workload.name == "yesterday"
    assert workload.works == (
        Work(0.0, "any", 5.0, requirements=("tag has gpu",), name="first"),
        Work(
            7.5,
            "any",
            1e-6,
            priority=5,
            account="ann",
            deadline_s=3.0,
            hard=True,
            name=job.id,
            campaign="Zoë 1",
            mode="fifo",
        ),
    )


def test_the_engines_of_a_live_store_are_a_fleet() -> None:
    """As fast as they were seen to be, else as their benchmarks say, else as the kind takes them to be."""
    clock = ManualClock()
    kind = JobKind(
        name="k", task_class=lambda parameters, _size: str(parameters["c"]), nominal_s_per_unit=4.0
    )
    with Dispatcher(MemoryStorage(clock), kinds=[kind]) as dispatcher:
        benchmarks = tuple(Benchmark(task_class=each, units_per_s=8.0) for each in ("seen", "measured"))
        profile = Profile(kinds=("k",), slots=2, facts={"tag": ("gpu",)}, benchmarks=benchmarks)
        dispatcher.register("x" * 100, profile, session="s")
        dispatcher.submit_many([JobSpec(kind="k", parameters={"c": each}) for each in ("seen", "new")])
        lease = next(
            each for each in dispatcher.claim("x" * 100, session="s", limit=2) if each.job.spec.parameters["c"] == "seen"
        )  # fmt: skip
        clock.advance(2)
        dispatcher.complete(lease)
        workload = workload_from(dispatcher)
        [engine] = fleet_from(dispatcher, workload).types
    assert engine.speeds == {"seen": pytest.approx(0.5, rel=1e-3), "measured": 8.0, "new": 0.25}
    assert engine.reported == {"seen": 8.0, "measured": 8.0}
    assert (engine.slots, engine.facts, len(engine.name)) == (2, {"tag": ("gpu",)}, 86)
