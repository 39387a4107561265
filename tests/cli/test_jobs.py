"""`dispatch jobs …` on both targets."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dispatch_cli.target import ENDED, STATES
from dispatch_core import Dispatcher, JobError, JobState
from tests.cli.program import Program

Submit = Callable[..., str]


def test_the_states_are_the_cores() -> None:
    """The command line offers exactly the states there are, and knows which are the end."""
    assert list(STATES) == [state.value for state in JobState]
    assert {state.value for state in JobState if state.terminal} == ENDED


def test_list_filters_sorts_and_pages(dispatch: Program, submit: Submit) -> None:
    """Pages joined by their cursor are the whole list; --all is all pages; filters are applied by the target."""
    ids = [submit("--priority", str(number)) for number in range(5)]
    dispatch("jobs", "cancel", ids[0])
    first = dispatch.json("jobs", "list", "--sort", "created_at", "--limit", "3")
    rest = dispatch.json(
        "jobs", "list", "--sort", "created_at", "--limit", "3", "--cursor", first["next_cursor"]
    )
    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == ids
    assert rest["next_cursor"] is None
    everything = dispatch.json("jobs", "list", "--sort", "-priority", "--all")
    assert [job["id"] for job in everything["jobs"]] == ids[::-1]
    ended = dispatch.json("jobs", "list", "--state", "cancelled", "--state", "completed")
    assert [job["id"] for job in ended["jobs"]] == ids[:1]
    assert dispatch.json("jobs", "list", "--kind", "render")["jobs"] == []
    assert dispatch.json("jobs", "list", "--engine", "nobody")["jobs"] == []


def test_a_foreign_cursor_is_refused(dispatch: Program, submit: Submit) -> None:
    """A cursor belongs to one list in one order."""
    submit()
    submit()
    cursor = dispatch.json("jobs", "list", "--limit", "1")["next_cursor"]
    dispatch("jobs", "list", "--sort", "priority", "--cursor", cursor, exit_code=5)
    dispatch("jobs", "list", "--cursor", "nonsense", exit_code=5)
    dispatch("jobs", "history", submit(), "--cursor", "nonsense", exit_code=5)


def test_tables_for_people(dispatch: Program, submit: Submit) -> None:
    """Lists and details name the job, its state and its work; no line is cut where no terminal is."""
    job_id = submit("--note", "n" * 300, "--run-limit", "2h")
    listed = dispatch("jobs", "list").stdout.splitlines()
    assert listed[0].split() == ["ID", "STATE", "PRIO", "TRIES", "CREATED", "WORK"]
    assert listed[1].startswith(f"{job_id[:12]}  pending")
    assert "a.mov → a.mp4 (h264)" in listed[1]
    shown = dispatch("jobs", "show", job_id).stdout
    assert "n" * 300 in shown
    assert "run 2 h" in shown
    assert dispatch("jobs", "list", "--state", "completed").stdout == "No jobs.\n"


@pytest.mark.checklist(18)
@pytest.mark.checklist(19)
@pytest.mark.checklist(80)
@pytest.mark.checklist(82)
def test_the_verbs(dispatch: Program, submit: Submit) -> None:
    """Every verb does what it says and tells the job's new state; the history has them all, and who did it."""
    job_id = submit()
    assert dispatch.json("jobs", "hold", job_id, "--reason", "wait")["hold"] == {"reason": "wait"}
    assert dispatch.json("jobs", "release", job_id)["hold"] is None
    pin = dispatch.json("jobs", "assign", job_id, "rack-7", "--until", "+1h", "--reason", "its disk")["pin"]
    assert (pin["engine_id"], pin["reason"]) == ("rack-7", "its disk")
    assert pin["until"] is not None
    assert dispatch.json("jobs", "assign", job_id, "--none")["pin"] is None
    assert dispatch("jobs", "cancel", job_id, "--reason", "wrong").stdout == f"{job_id}: cancelled\n"
    assert dispatch.json("jobs", "requeue", job_id)["generation"] == 2
    assert dispatch.json("jobs", "delete", job_id)["deleted_at"] is not None
    assert dispatch.json("jobs", "list")["jobs"] == []
    assert dispatch.json("jobs", "restore", job_id)["state"] == "cancelled"
    page = dispatch.json("jobs", "history", job_id)
    events = [row["event"] for row in page["events"]]
    assert events[0] == "job-submitted"
    assert {"job-held", "hold-released"} <= set(events)
    assert all(row["actor"] for row in page["events"])
    assert events[0] in dispatch("jobs", "history", job_id).stdout


def test_assign_wants_an_engine_or_none(local: Program) -> None:
    """A pin is set or ended, never both and never neither."""
    local("jobs", "assign", "job-x", exit_code=2)
    local("jobs", "assign", "job-x", "rack-7", "--none", exit_code=2)


def test_several_jobs_at_once(dispatch: Program, submit: Submit) -> None:
    """A job that refuses stops none of the others; the exit code is that of the first refusal."""
    one, two = submit(), submit()
    dispatch("jobs", "cancel", one)
    result = dispatch("jobs", "hold", one, "nope", two, "--json", exit_code=4)
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [two]
    problems = [json.loads(line) for line in result.stderr.splitlines()]
    assert [(each["subject"], each["code"]) for each in problems] == [
        (one, "wrong-state"),
        ("nope", "unknown-job"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        ("show", "nope"), ("watch", "nope"), ("explain", "nope"), ("history", "nope"), ("cancel", "nope"),
        ("requeue", "nope"), ("hold", "nope"), ("release", "nope"), ("assign", "nope", "rack-7"), ("delete", "nope"),
        ("restore", "nope"), ("edit", "nope", "--priority", "1"), ("edit", "nope", "--run-limit", "1h"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_unknown_job_is_exit_code_3(line: tuple[str, ...], dispatch: Program) -> None:
    """Whatever is asked about a job that is not there, the answer is: not found."""
    result = dispatch("jobs", *line, exit_code=3)
    assert result.stdout == ""
    assert "nope" in result.stderr


@pytest.mark.parametrize("strange", ["../status", "..", "a b", "a/b", "ä", "%2e%2e", "x?state=y"])
def test_strange_ids_name_no_other_route(strange: str, dispatch: Program) -> None:
    """An id is one segment of a path, whatever is in it."""
    result = dispatch("jobs", "show", strange, "--json", exit_code=3)
    assert json.loads(result.stderr)["code"] in ("unknown-job", "not-found")


@pytest.mark.checklist(25)
def test_edit_keeps_what_it_does_not_name(dispatch: Program, submit: Submit) -> None:
    """Naming one limit leaves the other limits, the back-off and the parameters as they are."""
    job_id = submit("--queue-ttl", "3h", "--codec", "hevc", "--duration", "10m", "--preset", "slow")
    dispatch("jobs", "edit", job_id, "--patch", '{"retry": {"first_delay_s": 60}}')
    dispatch("jobs", "edit", job_id, "--max-attempts", "7", "--run-limit", "2h", "--size-mb", "5")
    job = dispatch.json(
        "jobs", "edit", job_id, "--parameters", '{"crf": 20, "preset": null}', "--priority", "9"
    )
    assert job["retry"]["first_delay_s"] == 60
    assert job["retry"]["max_attempts"] == 7
    assert job["timeouts"] == {"queue_s": 10_800.0, "run_s": 7_200.0, "no_progress_s": None}
    assert job["size"] == {"size_bytes": 5_000_000, "duration_s": 600.0}
    expected = {"source": "/in/a.mov", "target": "/out/a.mp4", "codec": "hevc", "crf": 20}
    assert {name: value for name, value in job["parameters"].items() if value is not None} == expected
    assert job["priority"] == 9


def test_edit_clears(dispatch: Program, submit: Submit) -> None:
    """--clear removes what an option set."""
    job_id = submit("--queue-ttl", "3h", "--not-before", "+1h", "--require", "ffmpeg >= 6", "--note", "x")
    told = ("--clear", "queue-ttl", "--clear", "not-before", "--clear", "requirements", "--clear", "note")
    job = dispatch.json("jobs", "edit", job_id, *told)
    assert job["timeouts"]["queue_s"] is None
    assert (job["not_before"], job["requirements"], job["note"], job["state"]) == (None, [], "", "pending")


def test_edit_of_another_version_is_refused(dispatch: Program, submit: Submit) -> None:
    """--if-version is a condition, also for edits that are completed from the job."""
    job_id = submit()
    assert dispatch.json("jobs", "edit", job_id, "--priority", "1", "--if-version", "1")["version"] == 2
    dispatch("jobs", "edit", job_id, "--priority", "2", "--if-version", "1", exit_code=4)
    dispatch("jobs", "edit", job_id, "--run-limit", "1h", "--if-version", "1", exit_code=4)
    dispatch("jobs", "edit", job_id, exit_code=2)


def test_an_edit_of_a_running_job_is_refused(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """What runs is not changed under the engine's hands: exit code 4."""
    job_id = remote.json("submit", "/in/a.mov", "/out/a.mp4")["id"]
    dispatcher.claim(engine, session=engine)
    remote("jobs", "edit", job_id, "--parameters", '{"crf": 20}', exit_code=4)


def test_explain_says_why_and_what_would_help(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """The verdict, every engine's reasons and the smallest mend reach people and machines."""
    job_id = remote.json("submit", "/in/a.mov", "/out/a.mp4", "--require", "ffmpeg >= 7")["id"]
    told = remote.json("jobs", "explain", job_id)
    assert told["verdict"] == "never"
    assert [answer["engine_id"] for answer in told["engines"]] == [engine]
    shown = remote("jobs", "explain", job_id, "--engine", engine).stdout
    assert "never" in shown
    assert told["engines"][0]["reasons"][0]["message"] in shown
    assert "drop its requirement ffmpeg >= 7" in shown
    remote("jobs", "explain", job_id, "--engine", "nobody", exit_code=3)


def test_explain_says_when_a_job_should_start(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """Its place and an estimate of its start in words; machines get the instants."""
    jobs = [remote.json("submit", "/in/a.mov", "/out/a.mp4", "--duration", "10m")["id"] for _ in range(4)]
    assert "at the next claim" in remote("jobs", "explain", jobs[0]).stdout
    dispatcher.claim(engine, session=engine, limit=2)
    (last,) = [each for each in jobs[2:] if remote.json("jobs", "explain", each)["position"] == 2]
    told = remote.json("jobs", "explain", last)
    start = told["estimated_start"]
    assert told["verdict"] == "busy"
    assert told["at"] < start["p10"] < start["p50"] < start["p90"]
    assert start["engines"] == [engine]
    shown = remote("jobs", "explain", last).stdout
    assert "about " in shown
    assert "(estimate)" in shown


@pytest.mark.checklist(43)
@pytest.mark.checklist(73)
def test_attempts_and_errors_are_shown(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """Who tried, how it ended and why stands below the job."""
    job_id = remote.json("submit", "/in/a.mov", "/out/a.mp4", "--max-attempts", "1")["id"]
    (lease,) = dispatcher.claim(engine, session=engine)
    error = JobError(failure_class="input", message="no such file \x1b[31m/in/a.mov", retryable=False)
    dispatcher.fail(lease, error, usage={"cpu_s": 12})
    shown = remote("jobs", "show", job_id).stdout
    assert "failed_permanently" in shown
    assert "input: no such file \N{REPLACEMENT CHARACTER}[31m/in/a.mov" in shown
    assert engine in shown
    assert "cpu_s=12" in shown
    assert "\x1b" not in shown
