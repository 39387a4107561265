"""`dispatch engines …` and `dispatch status`."""

from __future__ import annotations

import pytest

from dispatch_core import Benchmark, Dispatcher, Progress
from tests.cli.program import Program


@pytest.mark.checklist(41)
def test_engines_are_listed_with_what_they_run(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """The list shows who lives, how busy they are and how far their jobs have come."""
    job_id = remote.json("submit", "/in/a.mov", "/out/a.mp4")["id"]
    (lease,) = dispatcher.claim(engine, session=engine)
    dispatcher.progress(lease, Progress(fraction=0.25))
    heading, row = remote("engines", "list").stdout.splitlines()
    assert heading.split() == ["ID", "SEEN", "WANTED", "BUSY", "LAST", "SEEN", "RUNS"]
    for part in (engine, "live", "active", "1/2", f"{job_id[:12]} 25 %"):
        assert part in row


def test_one_engine_is_shown_whole(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """Facts, speeds and running jobs of an engine."""
    dispatcher.report_benchmark(engine, [Benchmark(task_class="h264/720p/encode", units_per_s=3.5)])
    job_id = remote.json("submit", "/in/a.mov", "/out/a.mp4")["id"]
    dispatcher.claim(engine, session=engine)
    dispatcher.heartbeat(engine, session=engine, disk_free_bytes=5_000_000_000, load=0.5)
    shown = remote("engines", "show", engine).stdout
    for part in ("h264 hevc", "6.1", "1 of 2 busy", "5.0 GB", "0.50", "h264/720p/encode", "3.5", job_id):
        assert part in shown
    assert remote.json("engines", "show", engine)["facts"]["ffmpeg"] == "6.1"


@pytest.mark.checklist(24)
def test_engines_are_steered(remote: Program, engine: str) -> None:
    """Cordon, drain and resume say what is wanted; delete makes an engine leave."""
    wanted = remote.json("engines", "cordon", engine, "--reason", "odd noises")["wanted"]
    assert (wanted["state"], wanted["reason"]) == ("cordoned", "odd noises")
    assert remote("engines", "drain", engine).stdout == f"{engine}: draining, 0 running\n"
    assert "draining" in remote("engines", "list").stdout
    assert remote.json("engines", "resume", engine)["wanted"]["state"] == "active"
    assert remote("engines", "delete", engine).stdout == f"{engine}: left\n"
    assert remote("engines", "list").stdout == "No engines.\n"
    assert [each["id"] for each in remote.json("engines", "list", "--left")["engines"]] == [engine]


@pytest.mark.checklist(40)
def test_maintenance_is_planned_and_called_off(remote: Program, engine: str) -> None:
    """A window with its reason is listed, shown with the engine, and ended."""
    window = remote.json(
        "engines", "maintain", engine, "--from", "+1h", "--until", "+3h", "--reason", "new disks"
    )
    for shown in (remote("engines", "windows").stdout, remote("engines", "show", engine).stdout):
        for part in (window["id"], engine, "new disks"):
            assert part in shown
    assert "all engines" in remote("engines", "maintain", "--all", "--until", "+1h").stdout
    remote("engines", "maintain", "--until", "+1h", exit_code=2)
    assert remote("engines", "end-window", window["id"]).stdout == f"{window['id']}: ended\n"
    assert window["id"] not in remote("engines", "windows").stdout
    remote("engines", "end-window", "window-none", exit_code=3)


@pytest.mark.checklist(42)
def test_the_performance_of_an_engine_is_shown(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """Nothing at first, then a line for each task class."""
    assert remote("engines", "performance", engine).stdout == "Nothing completed yet.\n"
    remote("submit", "/in/a.mov", "/out/a.mp4")
    (lease,) = dispatcher.claim(engine, session=engine)
    dispatcher.complete(lease)
    heading, row = remote("engines", "performance", engine).stdout.splitlines()
    assert heading.split()[:3] == ["TASK", "CLASS", "JOBS"]
    assert row.split()[:2] == ["h264/1080p/encode", "1"]
    assert "×" in row


def test_estimates_are_shown(dispatch: Program, remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """Without engines there is nothing to tell; a benchmark is, before anything ran."""
    assert dispatch("engines", "estimates").stdout.startswith("Nothing is known")
    dispatcher.report_benchmark(engine, [Benchmark(task_class="h264/1080p/encode", units_per_s=4.0)])
    heading, row = remote("engines", "estimates", engine).stdout.splitlines()
    assert heading.split() == ["ENGINE", "TASK", "CLASS", "S/UNIT", "P50", "P90", "SAMPLES", "BENCHMARK"]
    assert [row.split()[at] for at in (0, 1, 2, 4, 5)] == [engine, "h264/1080p/encode", "0.25", "0.0", "yes"]
    (rate,) = remote.json("engines", "estimates")["estimates"]
    assert rate["benchmarked"] is True
    dispatch("engines", "estimates", "nobody", exit_code=3)


def test_a_claim_is_previewed(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """What it would get and what comes after, what it is refused and why; nothing is granted."""
    assert "nothing waits that it could take" in remote("engines", "preview", engine).stdout
    first = remote.json("submit", "/in/a.mov", "/out/a.mp4", "--priority", "3")["id"]
    second = remote.json("submit", "/in/b.mov", "/out/b.mp4", "--codec", "hevc")["id"]
    remote("submit", "/in/c.mov", "/out/c.mp4", "--require", "ffmpeg >= 7")
    told = remote.json("engines", "preview", engine)
    assert (told["chosen"]["job_id"], told["refused"]) == (first, {"software-version": 1})
    shown = remote("engines", "preview", engine).stdout
    for part in (engine, first, second, "s later", "software-version 1"):
        assert part in shown
    assert len(dispatcher.claim(engine, session=engine, limit=2)) == 2
    assert "2 of 2 slots are taken" in remote("engines", "preview", engine).stdout


def test_an_unknown_engine_is_exit_code_3(dispatch: Program) -> None:
    """Whatever is asked of an engine that is not there, the answer is: not found."""
    for verb in ("show", "preview", "cordon", "drain", "resume", "delete"):
        assert "nobody" in dispatch("engines", verb, "nobody", exit_code=3).stderr


def test_status_counts(dispatch: Program) -> None:
    """Jobs by state, jobs accepted, and the verdict on the books."""
    dispatch("submit", "/in/a.mov", "/out/a.mp4")
    told = dispatch.json("status")
    assert (told["accepted"], told["jobs"]["pending"], told["identity_holds"]) == (1, 1, True)
    shown = dispatch("status").stdout
    assert "holds" in shown
    assert "jobs accepted  1" in shown
