"""`dispatch simulate what-if` on a real database, also one that is in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dispatch_core import Benchmark, Dispatcher, Job, JobSize, JobSpec, Profile, Query
from dispatch_core.storage import create_storage
from tests.cli.program import Program

MINUTE_US = 60_000_000


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Dispatcher]:
    """A dispatcher that has its database open: one engine, and three films of a minute each, which take 30 s here."""
    speed = Benchmark(task_class="h264/1080p/encode", units_per_s=2.0)
    with closing(create_storage(tmp_path / "live.db")) as storage, Dispatcher(storage) as dispatcher:
        dispatcher.register("cpu", Profile(facts={"codec": ("h264",)}, benchmarks=(speed,)), session="1")
        dispatcher.submit_many([film() for _ in range(3)])
        dispatcher.claim("cpu", session="1")
        yield dispatcher


def film() -> JobSpec:
    return JobSpec(
        parameters={"source": "/in/a.mov", "target": "/out/a.mp4"}, size=JobSize(duration_us=MINUTE_US)
    )


def ids(dispatcher: Dispatcher) -> list[str]:
    return [job.id for job in dispatcher.jobs(Query(sort="created_us")).records if isinstance(job, Job)]


def test_one_more_engine_of_a_fleet_in_use(program: Program, live: Dispatcher, tmp_path: Path) -> None:
    """The last of three films ends half a minute sooner; the database is neither locked out nor changed."""
    before = live.events(limit=1_000)
    ask = ("simulate", "what-if", "--from-db", str(tmp_path / "live.db"), "--change", "engines +1 like cpu")
    told = program.json(*ask)
    assert [each["id"] for each in told["jobs"]] == ids(live)
    moved = sorted(round(each["moved_s"]) for each in told["jobs"])
    assert moved == [-30, -30, 0]
    assert (told["before"]["completed"], told["after"]["completed"]) == (3, 3)
    assert "3 open jobs: 2 end sooner" in program(*ask).stdout
    assert "job-" not in program(*ask, "--jobs", "0").stdout
    assert live.events(limit=1_000) == before


def test_a_batch_and_other_changes(program: Program, live: Dispatcher, tmp_path: Path) -> None:
    """Jobs as `dispatch submit --file` takes them; several changes hold together."""
    batch = tmp_path / "batch.ndjson"
    batch.write_text('{"parameters": {"source": "/b.mov", "target": "/b.mp4"}, "priority": 3}\n' * 2)
    ask = ("simulate", "what-if", "--from-db", str(tmp_path / "live.db"))
    told = program.json(*ask, "--change", f"submit {batch}", "--change", "cap = 10m")
    assert len(told["added"]) == 2
    assert told["after"]["completed"] == 5
    gone = program.json(*ask, "--change", "without cpu", "--change", "policy=fifo")
    assert gone["after"]["open"] == 2
    assert [each["moved_s"] for each in gone["jobs"]].count(None) == 2


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ("more engines", 2, "must be"),
        ("policy=best", 2, "must be"),
        ("cap=soon", 2, "not a duration"),
        ("submit none.ndjson", 2, "No such file"),
        ("engines +1 like nobody", 3, "there is no engine nobody"),
    ],
)
def test_what_cannot_be_asked(
    program: Program, live: Dispatcher, tmp_path: Path, change: str, code: int, says: str
) -> None:
    """Each with what is wrong about it."""
    ask = ("simulate", "what-if", "--from-db", str(tmp_path / "live.db"), "--change", change)
    assert says in program(*ask, exit_code=code).stderr


def test_mistakes_in_a_batch_name_their_line(program: Program, live: Dispatcher, tmp_path: Path) -> None:
    """The second line is no JSON."""
    (tmp_path / "bad.ndjson").write_text('{"parameters": {}}\nnonsense\n')
    ask = ("simulate", "what-if", "--from-db", str(tmp_path / "live.db"))
    told = program(*ask, "--change", f"submit {tmp_path / 'bad.ndjson'}", exit_code=5).stderr
    assert "line 2" in told


def test_a_database_must_be_there(program: Program, tmp_path: Path) -> None:
    """And nothing is made of it."""
    ask = ("simulate", "what-if", "--from-db", str(tmp_path / "none.db"), "--change", "without x")
    assert "does not exist" in program(*ask, exit_code=7).stderr
    assert not (tmp_path / "none.db").exists()


def test_what_happened_can_be_tried_again(program: Program, live: Dispatcher, tmp_path: Path) -> None:
    """The jobs and the engine of a database in use become files that a simulation takes as they are."""
    ask = ("simulate", "record", str(tmp_path / "day"), "--from-db", str(tmp_path / "live.db"))
    told = program.json(*ask)
    again = program.json("simulate", "run", told["fleet"], told["workload"])["outcomes"][0]
    assert (again["completed"], again["engines"][0]["name"]) == (3, "cpu-1")
    assert again["makespan_s"] == pytest.approx(90, abs=0.1)
    assert "--force" in program(*ask, exit_code=4).stderr
