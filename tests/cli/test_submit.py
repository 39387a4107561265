"""`dispatch submit` turns a command line into the job it says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatch_core import Dispatcher
from tests.cli.program import Program


def test_every_option_reaches_the_job(dispatch: Program) -> None:
    """What was said is what the job asks for; durations are seconds, megabytes are bytes."""
    job = dispatch.json(
        "submit", "https://nas/raw/a.mov", "/out/a.mp4", "--codec", "hevc", "--encoder", "libx265", "--preset", "slow",
        "--crf", "24", "--width", "1280", "--height", "720", "--audio", "copy", "--priority", "7",
        "--require", "ffmpeg >= 6.1", "--require", "prefer tag has fast", "--max-attempts", "3", "--queue-ttl", "2h",
        "--run-limit", "90s", "--no-progress-limit", "1m30s", "--size-mb", "12.5", "--duration", "10m", "--note", "hello",
        "--hold",
    )  # fmt: skip
    assert job["parameters"] == {
        "source": "https://nas/raw/a.mov", "target": "/out/a.mp4", "codec": "hevc", "encoder": "libx265", "preset": "slow",
        "crf": 24, "width": 1280, "height": 720, "audio": "copy",
    }  # fmt: skip
    assert job["priority"] == 7
    assert job["requirements"] == ["ffmpeg >= 6.1", "prefer tag has fast"]
    assert job["retry"]["max_attempts"] == 3
    assert job["timeouts"] == {"queue_s": 7200.0, "run_s": 90.0, "no_progress_s": 90.0}
    assert job["size"] == {"size_bytes": 12_500_000, "duration_s": 600.0}
    assert job["note"] == "hello"
    assert job["hold"] is not None


def test_what_is_not_said_is_left_to_the_core(dispatch: Program) -> None:
    """A bare submit sends source and target only, so that defaults have one home."""
    job = dispatch.json("submit", "/in/a.mov", "/out/a.mp4")
    assert job["parameters"] == {"source": "/in/a.mov", "target": "/out/a.mp4"}
    assert job["retry"]["max_attempts"] == 4
    assert job["state"] == "pending"


def test_paths_become_absolute_and_local_sources_tell_their_size(
    dispatch: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine works in another folder, and size decides who gets a job."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mov").write_bytes(b"x" * 1_234)
    job = dispatch.json("submit", "a.mov", "file:///out/a.mp4")
    assert job["parameters"] == {"source": str(tmp_path / "a.mov"), "target": "file:///out/a.mp4"}
    assert job["size"] == {"size_bytes": 1_234}
    assert dispatch.json("submit", "a.mov", "b.mp4", "--size-mb", "5")["size"] == {"size_bytes": 5_000_000}


def test_not_before_takes_times_and_durations(dispatch: Program) -> None:
    """A start time may be absolute or count from now, and the job is delayed until then."""
    job = dispatch.json("submit", "/in/a.mov", "/out/a.mp4", "--not-before", "+2h")
    ahead = datetime.fromisoformat(job["not_before"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < ahead < timedelta(hours=2, seconds=1)
    assert job["state"] == "delayed"
    job = dispatch.json("submit", "/in/a.mov", "/out/a.mp4", "--not-before", "2099-01-31T12:00:00+02:00")
    assert job["not_before"] == "2099-01-31T10:00:00.000000Z"


def test_account_and_deadline_are_said_listed_and_changed(dispatch: Program) -> None:
    """A deadline is a time or a duration from now; what is open behind it shows as missed."""
    job = dispatch.json("submit", "/in/a.mov", "/out/a.mp4", "--account", "studio", "--deadline", "2h")
    ahead = datetime.fromisoformat(job["deadline"]["at"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < ahead < timedelta(hours=2, seconds=1)
    assert (job["account"], job["deadline"]["hard"], job["deadline_missed"]) == ("studio", False, None)
    shown = dispatch("jobs", "list", "--account", "studio").stdout
    assert re.search(r"studio +in [12] h", shown)
    assert dispatch.json("jobs", "list", "--account", "other")["jobs"] == []
    job = dispatch.json("jobs", "edit", job["id"], "--deadline", "2020-01-31T12:00:00Z", "--hard-deadline")
    assert job["deadline"] == {"at": "2020-01-31T12:00:00.000000Z", "hard": True}
    assert "missed" in dispatch("jobs", "list").stdout
    assert "hard, 2020-01-31T12:00:00.000000Z" in dispatch("jobs", "show", job["id"]).stdout
    job = dispatch.json("jobs", "edit", job["id"], "--clear", "deadline", "--clear", "account")
    assert job["account"] is job["deadline"] is None
    dispatch("submit", "/in/a.mov", "/out/a.mp4", "--deadline", "soon", exit_code=2)
    dispatch("submit", "/in/a.mov", "/out/a.mp4", "--hard-deadline", exit_code=5)


def test_a_key_submits_once(dispatch: Program) -> None:
    """The same key and job give the same answer; another job under the key is refused as invalid."""
    first = dispatch.json("submit", "/in/a.mov", "/out/a.mp4", "--key", "nightly")
    assert dispatch.json("submit", "/in/a.mov", "/out/a.mp4", "--key", "nightly")["id"] == first["id"]
    dispatch("submit", "/in/b.mov", "/out/b.mp4", "--key", "nightly", exit_code=5)
    assert dispatch.json("status")["accepted"] == 1


def test_every_problem_is_told_at_once(dispatch: Program) -> None:
    """A refused job names all fields that are wrong, as text and as JSON, with exit code 5."""
    wrong = ("submit", "/in/a.mov", "/out/a.mp4", "--priority", "1000", "--max-attempts", "0", "--crf", "99")
    told = dispatch(*wrong, exit_code=5)
    assert told.stdout == ""
    for pointer in ("/priority", "/retry/max_attempts"):
        assert pointer in told.stderr
    problem = json.loads(dispatch(*wrong, "--json", exit_code=5).stderr)
    assert problem["code"] == "invalid-command"
    assert {"/priority", "/retry/max_attempts"} <= {each["pointer"] for each in problem["errors"]}


def test_an_unknown_kind_is_refused_by_the_core(dispatch: Program) -> None:
    """The command line knows no kinds; it asks."""
    dispatch("submit", "--kind", "render", "--parameters", '{"scene": 7}', exit_code=5)


def test_parameters_may_come_from_a_file(dispatch: Program, tmp_path: Path) -> None:
    """@FILE is the JSON object in it; options add to it."""
    path = tmp_path / "parameters.json"
    path.write_text('{"source": "/in/a.mov", "target": "/out/a.mp4", "crf": 30}')
    job = dispatch.json("submit", "--parameters", f"@{path}", "--codec", "hevc")
    assert job["parameters"] == {"source": "/in/a.mov", "target": "/out/a.mp4", "crf": 30, "codec": "hevc"}


@pytest.mark.parametrize(
    "line",
    [
        ("submit",),
        ("submit", "/in/a.mov"),
        ("submit", "/in/a.mov", "/out/a.mp4", "--run-limit", "soon"),
        ("submit", "/in/a.mov", "/out/a.mp4", "--not-before", "tomorrow"),
        ("submit", "/in/a.mov", "/out/a.mp4", "--parameters", "[1]"),
        ("submit", "/in/a.mov", "/out/a.mp4", "--parameters", "@/no/such/file"),
        ("submit", "--kind", "render", "/in/a.mov"),
        ("submit", "--kind", "render", "--codec", "hevc"),
        ("submit", "--file", "-", "/in/a.mov"),
        ("submit", "--file", "-", "--priority", "3"),
        ("submit", "--file", "/no/such/file"),
    ],
    ids=" ".join,
)
def test_wrong_command_lines_submit_nothing(line: tuple[str, ...], local: Program) -> None:
    """A command line that cannot be meant ends with exit code 2 before anything is asked."""
    local(*line, exit_code=2)


def test_a_file_of_jobs(dispatch: Program, tmp_path: Path) -> None:
    """Every line is a job of its own: a bad one is named and stops none; a repeat with the key adds nothing."""
    path = tmp_path / "jobs.ndjson"
    good = {"parameters": {"source": "/in/a.mov", "target": "/out/a.mp4"}}
    lines = [
        json.dumps({**good, "priority": 1}),
        "{oops",
        "",
        json.dumps({**good, "priority": 999}),
        json.dumps(good),
    ]
    path.write_text("\n".join(lines))
    result = dispatch("submit", "--file", str(path), "--key", "nightly", "--json", exit_code=5)
    accepted = [json.loads(line) for line in result.stdout.splitlines()]
    assert [job["priority"] for job in accepted] == [1, 0]
    problems = [json.loads(line) for line in result.stderr.splitlines()]
    assert [each["subject"] for each in problems] == ["line 2", "line 4"]
    again = dispatch("submit", "--file", "-", "--key", "nightly", stdin="\n".join(lines), exit_code=5)
    assert [line for line in again.stdout.splitlines() if line.startswith("job-")] == [
        job["id"] for job in accepted
    ]
    assert dispatch.json("status")["accepted"] == 2


def test_people_hear_the_id(dispatch: Program) -> None:
    """Without --json the answer is one sentence with the id."""
    told = dispatch("submit", "/in/a.mov", "/out/a.mp4").stdout.split()
    assert told[0] == "Submitted"
    assert dispatch.json("jobs", "show", told[1])["id"] == told[1]


def test_wait_ends_as_the_job_does(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """With --wait the exit code is 0 for a completed job and 1 for one that was cancelled."""
    from threading import Thread

    def work() -> None:
        (lease,) = dispatcher.claim(engine, session=engine, wait_s=10)
        dispatcher.complete(lease, {"size_bytes": 5})

    thread = Thread(target=work)
    thread.start()
    ended = remote.json("submit", "/in/a.mov", "/out/a.mp4", "--wait")
    thread.join()
    assert ended["state"] == "completed"
    assert ended["result"] == {"size_bytes": 5}


def test_a_long_file_goes_in_portions(dispatch: Program) -> None:
    """Of 1,000 lines each: all are accepted in their order, and a repeat with the key tells the same ids."""
    form = {"parameters": {"source": "/in/a.mov", "target": "/out/a.mp4"}}
    lines = [json.dumps({**form, "note": str(number)}) for number in range(1_200)]
    lines[1_100] = json.dumps({**form, "pool": "none"})
    text = "\n".join(lines)
    told = dispatch("submit", "--file", "-", "--key", "k", "--json", stdin=text, exit_code=5).stdout
    jobs = [json.loads(line) for line in told.splitlines()]
    assert [job["note"] for job in jobs] == [str(number) for number in range(1_200) if number != 1_100]
    assert dispatch("submit", "--file", "-", "--key", "k", "--json", stdin=text, exit_code=5).stdout == told
    assert dispatch.json("status")["accepted"] == 1_199
