"""The two targets are one: the same forms from the same dispatcher, and --json prints exactly those."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from dispatch_cli.local_target import LocalTarget
from dispatch_cli.remote_target import RemoteTarget
from dispatch_cli.servers import Servers
from dispatch_cli.target import Form, JobQuery, Target
from dispatch_cli.transport import Transport
from dispatch_core import Dispatcher, JobError
from dispatch_http.server import Server
from tests.cli.program import Program


@pytest.fixture
def inside(dispatcher: Dispatcher) -> LocalTarget:
    return LocalTarget(dispatcher, lambda: None)


@pytest.fixture
def outside(server: Server) -> Iterator[RemoteTarget]:
    target = RemoteTarget(Transport(Servers.parse(server.url)))
    yield target
    target.close()


@pytest.fixture
def job_id(inside: LocalTarget, dispatcher: Dispatcher, engine: str) -> str:
    """A job with a history: failed once, edited, held."""
    job_id = str(
        inside.submit({"parameters": {"source": "/in/a", "target": "/out/a"}, "size": {"size_mb": 2}})["id"]
    )
    (lease,) = dispatcher.claim(engine, session=engine)
    dispatcher.fail(lease, JobError(failure_class="engine", message="crashed"))
    inside.edit(job_id, {"priority": 5})
    inside.act(job_id, "hold", {"reason": "look at it"})
    return job_id


QUESTIONS: dict[str, Callable[[Target, str], Form]] = {
    "job": lambda target, job_id: target.job(job_id),
    "jobs": lambda target, job_id: target.jobs(JobQuery(states=("failed_retry", "pending"), limit=1)),
    "some fields": lambda target, job_id: target.job(job_id[:9], fields=("state", "id")),
    "a narrow list": lambda target, job_id: target.jobs(
        JobQuery(tenant="default", times={"created_since": "2020-01-01T00:00:00Z"}, fields=("id",))
    ),
    "many": lambda target, job_id: target.act_on_many(
        "cancel", {"filter": {"state": ["failed_retry"]}, "dry_run": True}
    ),
    "export": lambda target, job_id: {"lines": [json.loads(each) for each in target.export_jobs(JobQuery())]},
    "events": lambda target, job_id: {"lines": [json.loads(each) for each in target.export_history()]},
    "sorted engines": lambda target, job_id: target.engines(sort="-hostname", fields=("id", "seen")),
    "attempts": lambda target, job_id: target.attempts(job_id),
    "history": lambda target, job_id: target.history(job_id, limit=3),
    "engines": lambda target, job_id: target.engines(left=True),
    "engine": lambda target, job_id: target.engine("rack-7"),
    "status": lambda target, job_id: target.status(),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_both_targets_give_the_same_forms(
    question: str, inside: LocalTarget, outside: RemoteTarget, job_id: str
) -> None:
    """Whether a command goes over HTTP or straight to the core does not change a character of the answer."""
    ask = QUESTIONS[question]
    assert ask(inside, job_id) == ask(outside, job_id)


def test_cursors_fit_both_targets(inside: LocalTarget, outside: RemoteTarget, job_id: str) -> None:
    """A page begun on one target is continued on the other."""
    for _ in range(2):
        inside.submit({"parameters": {"source": "/in/b", "target": "/out/b"}})
    for one, other in ((inside, outside), (outside, inside)):
        page = one.jobs(JobQuery(limit=1))
        cursor = page["next_cursor"]
        assert one.jobs(JobQuery(limit=1, cursor=cursor)) == other.jobs(JobQuery(limit=1, cursor=cursor))


def test_explanations_differ_in_their_instant_only(
    inside: LocalTarget, outside: RemoteTarget, job_id: str
) -> None:
    """An explanation is computed when asked; but for when, both targets say the same."""
    ours, theirs = inside.explain(job_id), outside.explain(job_id)
    assert {**ours, "at": None} == {**theirs, "at": None}


def test_json_is_the_form(remote: Program, inside: LocalTarget, job_id: str) -> None:
    """--json adds nothing and leaves nothing out."""
    assert remote.json("jobs", "show", job_id) == inside.job(job_id)
    assert remote.json("jobs", "list") == inside.jobs(JobQuery())
    assert remote.json("jobs", "history", job_id) == inside.history(job_id)
    assert remote.json("engines", "list") == inside.engines()
    assert remote.json("engines", "show", "rack-7") == inside.engine("rack-7")
    assert remote.json("status") == inside.status()


def test_who_did_it_is_recorded(local: Program) -> None:
    """On a local database the history names the user."""
    job_id = local.json("submit", "/in/a.mov", "/out/a.mp4")["id"]
    (row,) = local.json("jobs", "history", job_id)["events"]
    assert row["actor"].startswith("local:")


def test_a_database_that_is_not_there_is_not_made_by_a_question(program: Program, tmp_path: object) -> None:
    """A misspelt path is an error, not an empty list; only submit begins a database."""
    missing = f"{tmp_path}/missing.db"
    program("--database", missing, "jobs", "list", exit_code=7)
    program("--database", missing, "submit", "/in/a.mov", "/out/a.mp4")
    assert len(program.json("--database", missing, "jobs", "list")["jobs"]) == 1


def test_a_database_and_a_server_exclude_each_other(program: Program) -> None:
    """There is one target."""
    program("status", "--url", "http://127.0.0.1:1", "--database", "jobs.db", exit_code=2)


@pytest.mark.parametrize("url", ["oracle://db/dispatch", "mysql://db/dispatch"])
def test_a_database_we_do_not_know_is_invalid(url: str, program: Program) -> None:
    """The core's words about a store it cannot open reach the user."""
    assert "sqlite" in program("--database", url, "status", exit_code=5).stderr


def test_a_file_that_is_no_database_is_left_alone(program: Program, tmp_path: object) -> None:
    """What we did not write we do not touch."""
    from pathlib import Path

    path = Path(f"{tmp_path}/letter.txt")
    path.write_text("Dear reader, " * 1_000)
    before = path.read_bytes()
    program("--database", str(path), "submit", "/in/a.mov", "/out/a.mp4", exit_code=8)
    assert path.read_bytes() == before
