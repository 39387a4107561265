"""Lists, exports, short ids and verbs for many, on both targets."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dispatch_core import Dispatcher, JobError, Settings
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings
from tests.cli.program import Program

Submit = Callable[..., str]


@pytest.mark.checklist(46)
def test_lists_are_filtered_by_time_and_tenant(dispatch: Program, submit: Submit) -> None:
    """Times may be relative; a tenant that is not one's own has nothing to show."""
    job_id = submit()

    def ids(*options: str) -> list[str]:
        return [job["id"] for job in dispatch.json("jobs", "list", *options)["jobs"]]

    assert (
        ids("--created-since", "-1h")
        == ids("--updated-until", "+1h")
        == ids("--tenant", "default")
        == [job_id]
    )
    assert ids("--created-until", "-1h") == ids("--updated-since", "+1h") == ids("--tenant", "other") == []
    assert ids("--deleted") == []
    dispatch("jobs", "list", "--created-since", "soon", exit_code=2)


@pytest.mark.checklist(91)
def test_fields_cut_lists_and_records(dispatch: Program, submit: Submit) -> None:
    """JSON holds these fields and no other; people get a column for each; a wrong name gets a hint."""
    job_id = submit("--priority", "7")
    assert dispatch.json("jobs", "list", "--fields", "id,priority")["jobs"] == [{"id": job_id, "priority": 7}]
    assert dispatch.json("jobs", "show", job_id, "--fields", "state") == {"state": "pending"}
    heading, row = dispatch("jobs", "list", "--fields", "priority,size,id").stdout.splitlines()
    assert (heading.split(), row.split()) == (["PRIORITY", "SIZE", "ID"], ["7", "{}", job_id])
    assert dispatch("jobs", "show", job_id, "--fields", "state").stdout.split() == ["STATE", "pending"]
    assert "did you mean 'priority'" in dispatch("jobs", "list", "--fields", "priorty", exit_code=5).stderr
    assert dispatch.json("engines", "list", "--fields", "id")["engines"] == []
    dispatch("engines", "list", "--fields", "idd", exit_code=5)


@pytest.mark.checklist(38)
def test_engines_are_sorted(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """In every order that the target knows, and cut to fields."""
    dispatcher.register("rack-8", dispatcher.engine(engine).engine.profile, session="1")
    page = remote.json("engines", "list", "--sort", "-id", "--fields", "id,seen")
    assert page["engines"] == [{"id": "rack-8", "seen": "live"}, {"id": "rack-7", "seen": "live"}]
    assert remote.json("engines", "show", engine, "--fields", "slots") == {"slots": 2}
    assert remote("engines", "list", "--sort", "hostname", "--fields", "id").stdout.split() == [
        "ID",
        "rack-7",
        "rack-8",
    ]
    assert remote("engines", "show", engine, "--fields", "slots").stdout.split() == ["SLOTS", "2"]


@pytest.mark.checklist(89)
def test_everything_is_exported_as_lines(dispatch: Program, submit: Submit) -> None:
    """A job or an event a line, whatever separators are in its texts; filters and fields as in lists."""
    ids = [submit("--note", "one\u2028two\x0bthree") for _ in range(3)]
    dispatch("jobs", "cancel", ids[0])

    def told(*options: str) -> list[dict[str, object]]:
        output = dispatch("jobs", "export", *options).stdout
        return [json.loads(line) for line in output.split("\n") if line]

    assert sorted(str(job["id"]) for job in told()) == sorted(ids)
    assert told("--state", "cancelled", "--fields", "id,note") == [
        {"id": ids[0], "note": "one\u2028two\x0bthree"}
    ]
    events = told("--history")
    assert [row["event"] for row in events] == ["job-submitted"] * 3 + ["job-cancelled"]
    assert told("--history", "--cursor", str(events[2]["cursor"])) == events[3:]
    dispatch("jobs", "export", "--history", "--kind", "x", exit_code=2)
    dispatch("jobs", "export", "--cursor", "1.0", exit_code=2)
    assert dispatch("jobs", "export", "--history", "--cursor", "x", exit_code=5).stdout == ""


@pytest.mark.checklist(93)
def test_the_beginning_of_an_id_is_enough(dispatch: Program, submit: Submit) -> None:
    """What a table shows can be typed back, into every command that takes an id."""
    job_id = submit()
    shown = dispatch("jobs", "list").stdout.splitlines()[1].split()[0]
    assert job_id.startswith(shown)
    assert len(shown) < len(job_id)
    for text in (shown, shown.removeprefix("job-"), job_id[4:8]):
        assert dispatch.json("jobs", "show", text)["id"] == job_id
    assert dispatch.json("jobs", "edit", shown, "--priority", "2")["id"] == job_id
    assert dispatch.json("jobs", "hold", shown)["id"] == job_id
    assert dispatch.json("jobs", "assign", shown, "rack-7")["id"] == job_id
    assert dispatch.json("jobs", "explain", shown)["job_id"] == job_id
    assert dispatch.json("jobs", "history", shown)["events"][0]["id"] == job_id
    assert "job-submitted" in dispatch("jobs", "history", shown).stdout
    assert job_id in dispatch("jobs", "show", shown).stdout
    assert dispatch.json("jobs", "delete", shown)["id"] == job_id
    assert dispatch.json("jobs", "restore", shown)["id"] == job_id


@pytest.mark.checklist(33)
@pytest.mark.checklist(58)
def test_retries_and_the_cap_are_told() -> None:
    """--max-retries counts what comes after the first attempt; a cap of the server shows where attempts are shown."""
    with Dispatcher(MemoryStorage(), settings=Settings(attempts_cap=3)) as dispatcher:
        settings = HttpSettings(port=0, threads=4, drain_grace_s=2.0)
        with Server(create_app(dispatcher, settings), dispatcher, settings) as server:
            remote = Program(("--url", server.url))
            job = remote.json("submit", "/in/a.mov", "/out/a.mp4", "--max-retries", "8")
            assert (job["retry"]["max_attempts"], job["max_attempts_effective"]) == (9, 3)
            assert "0 of 3 (the server's cap; 9 were asked for)" in remote("jobs", "show", job["id"]).stdout
            assert " 0/3 " in remote("jobs", "list").stdout
            edited = remote.json("jobs", "edit", job["id"], "--max-retries", "1")
            assert edited["max_attempts_effective"] == edited["retry"]["max_attempts"] == 2
            remote("submit", "/in/a.mov", "/out/a.mp4", "--max-retries=-1", exit_code=5)


@pytest.mark.checklist(94)
def test_failed_jobs_are_requeued_by_a_filter(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """--dry-run tells the count, --expected takes it; a count that is not right changes nothing."""
    ids = [remote.json("submit", "/in/a.mov", "/out/a.mp4")["id"] for _ in range(2)]
    for lease in dispatcher.claim(engine, session=engine, limit=2):
        dispatcher.fail(lease, JobError(failure_class="input", message="broken", retryable=False))
    line = ("jobs", "requeue", "--filter", "state=failed_permanently", "--filter", "created_since=-1h")
    assert remote(*line, "--dry-run").stdout == "2 jobs fit; to requeue them: --expected 2\n"
    assert "look again" in remote(*line, "--expected", "3", exit_code=4).stderr
    told = remote.json(*line, "--expected", "2")
    assert (sorted(told["done"]), told["refused"]) == (sorted(ids), [])
    assert {remote.json("jobs", "show", job_id)["generation"] for job_id in ids} == {2}


def test_jobs_are_cancelled_by_a_filter(dispatch: Program, submit: Submit) -> None:
    """On both targets; several values of a name are alternatives."""
    job_id = submit()
    line = ("jobs", "cancel", "--filter", "state=pending,delayed", "--reason", "wrong preset")
    assert dispatch.json(*line, "--dry-run")["count"] == 1
    assert dispatch(*line, "--expected", "1").stdout == "Cancelled 1 jobs\n"
    assert dispatch.json("jobs", "show", job_id)["cancel_reason"] == "wrong preset"
    dispatch("jobs", "cancel", "--filter", "kind=transcode", "--dry-run", exit_code=5)
    dispatch("jobs", "cancel", "--filter", "state=done", "--dry-run", exit_code=5)


@pytest.mark.parametrize(
    "line",
    [
        (), ("JOB", "--filter", "state=pending"), ("--filter", "state=pending"), ("JOB", "--dry-run"),
        ("--filter", "state=pending", "--dry-run", "--expected", "1"), ("--filter", "state", "--dry-run"),
        ("--filter", "created_since=soon", "--dry-run"),
    ],
)  # fmt: skip
def test_ids_or_a_filter_looked_at_first(local: Program, line: tuple[str, ...]) -> None:
    """Exit code 2 unless it is clear who is meant and that the count was seen."""
    local("jobs", "requeue", *line, exit_code=2)
