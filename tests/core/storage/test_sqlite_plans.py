"""Nothing is scanned: SQLite's own plan for every statement on the way of a claim, and how many there are."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from dispatch_core.ports.storage import Change, ChangeSet, Query, Tally, Transaction
from dispatch_core.storage.sql import SqliteFile, SqlStorage
from dispatch_core.testing.samples import (
    a_job,
    a_pulse,
    a_ready_job,
    a_receipt,
    a_row,
    added,
    an_attempt,
    an_engine,
    next_version,
    save,
)
from dispatch_core.vocabulary.jobs import JobState
from dispatch_core.vocabulary.records import RecordType, ref_of


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStorage]:
    with closing(SqlStorage(SqliteFile(tmp_path_factory.mktemp("plans") / "jobs.db"))) as storage:
        jobs = [a_ready_job(f"job-{n}", n, bucket=("open", f"class-{n % 7}")) for n in range(300)]
        save(
            storage,
            added(*jobs, *(an_attempt(f"job-{n}") for n in range(300)), an_engine(), a_pulse(), a_receipt()),
        )
        yield storage


def plan_of(storage: SqlStorage, text: str) -> str:
    """The steps of SQLite's plan, in its words."""
    values = ["[]" if "json_each" in text else 0] * text.count("?")
    with storage._database.read() as session:
        return "\n".join(row[3] for row in session.rows(f"EXPLAIN QUERY PLAN {text}", values))


def statements_of(storage: SqlStorage, act: object) -> list[str]:
    seen: list[str] = []
    storage.watch(lambda text, _rows: seen.append(text))
    try:
        with storage.read() as snapshot:
            act(snapshot)  # type: ignore[operator]  # one of the lambdas below
    finally:
        storage.watch(None)
    return seen


def find(record_type: RecordType, *, sort: str, **where: str) -> object:
    query = Query(sort=sort, descending=True, where={name: (value,) for name, value in where.items()})
    return lambda snapshot: snapshot.find(record_type, query)


JOB, ATTEMPT = RecordType.JOB, RecordType.ATTEMPT
PLANS: dict[str, tuple[object, str]] = {
    "load jobs": (lambda t: t.load([(JOB, "a")]), "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id=?)"),
    "load attempts": (lambda t: t.load([(ATTEMPT, "a/1")]), "SEARCH attempts USING PRIMARY KEY (job_id=? AND number=?)"),
    "load engines": (lambda t: t.load([(RecordType.ENGINE, "a")]), "SEARCH engines USING PRIMARY KEY (id=?)"),
    "open attempts": (lambda t: t.open_attempts(["e"]), "SEARCH attempts USING INDEX attempts_open (engine_id=?)"),
    "heads": (lambda t: t.heads([("open", "a")], 1),
              "SEARCH head USING COVERING INDEX ready (lane=? AND class_id=? AND (band,order_key,id)>(?,?,?))"),
    "jobs due": (lambda t: t.due(JOB, 1, 1), "SEARCH jobs USING INDEX jobs_due (due_us>? AND due_us<?)"),
    "attempts due": (lambda t: t.due(ATTEMPT, 1, 1), "USING INDEX attempts_open"),
    "receipts due": (lambda t: t.due(RecordType.RECEIPT, 1, 1), "SEARCH receipts USING COVERING INDEX receipts_due"),
    "settled": (lambda t: t.settled(JobState.COMPLETED, 1, 1, deleted=False),
                "SEARCH jobs USING COVERING INDEX jobs_ended (deleted=? AND state=? AND "),
    "history": (lambda t: t.history(after=(1, 1)), "SEARCH history USING PRIMARY KEY ((tx,n)>(?,?))"),
    "history of one": (lambda t: t.history(of=(JOB, "a")), "USING INDEX history_of (type=? AND key=?"),
    "jobs by age": (find(JOB, sort="created_us", tenant="t"), "SEARCH jobs USING INDEX jobs_by_age (tenant=?)"),
    "jobs by state": (find(JOB, sort="created_us", tenant="t", state="s"),
                      "SEARCH jobs USING INDEX jobs_by_state (tenant=? AND state=?)"),
    "jobs of a campaign": (find(JOB, sort="created_us", tenant="t", deleted="no", campaign="c"),
                           "SEARCH jobs USING INDEX jobs_by_campaign (tenant=? AND campaign=?)"),
    "jobs of a campaign by state": (find(JOB, sort="created_us", tenant="t", deleted="no", state="s", campaign="c"),
                                    "SEARCH jobs USING INDEX jobs_by_campaign (tenant=? AND campaign=?)"),
    "progress": (lambda t: list(t.tally(Tally.CAMPAIGN, ("t", "c"))),
                 "SEARCH jobs USING COVERING INDEX jobs_by_campaign (tenant=? AND campaign=?)"),
    "jobs of an engine": (find(JOB, sort="priority", engine_id="e"), "jobs_by_engine (engine_id=?)"),
    "jobs by the beginning of an id": (
        lambda t: t.find(JOB, Query(sort="created_us", prefix="job-1", where={"tenant": ("t",)}, limit=6)),
        "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id>? AND id<?)"),
    "attempts of a job": (find(ATTEMPT, sort="number", job_id="j"), "SEARCH attempts USING PRIMARY KEY (job_id=?)"),
    "attempts of an engine": (find(ATTEMPT, sort="granted_us", engine_id="e"), "attempts_by_engine (engine_id=?)"),
    "states": (lambda t: t.tally(Tally.STATES), "SCAN jobs USING COVERING INDEX jobs_by_state"),
    "backlog": (lambda t: t.tally(Tally.BACKLOG), "SEARCH jobs USING COVERING INDEX ready"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANS)
def test_every_read_has_its_index(storage: SqlStorage, name: str) -> None:
    act, expected = PLANS[name]
    (text,) = statements_of(storage, act)
    plan = plan_of(storage, text)
    assert expected in plan
    assert "SCAN jobs\n" not in plan + "\n"


@pytest.mark.parametrize(
    "name",
    [
        "jobs by age",
        "jobs by state",
        "jobs of a campaign",
        "jobs of a campaign by state",
        "settled",
        "history",
        "history of one",
    ],
)
def test_pages_are_read_in_the_order_of_an_index(storage: SqlStorage, name: str) -> None:
    (text,) = statements_of(storage, PLANS[name][0])
    assert "TEMP B-TREE" not in plan_of(storage, text)


def test_the_buckets_are_found_by_skipping_from_one_to_the_next(storage: SqlStorage) -> None:
    (text,) = statements_of(storage, lambda snapshot: snapshot.buckets())
    steps = [step for step in plan_of(storage, text).splitlines() if "jobs" in step]
    assert len(steps) == 4
    assert all(step.startswith("SEARCH jobs USING COVERING INDEX ready") for step in steps)


@pytest.mark.checklist(3)
def test_a_batch_is_a_handful_of_statements(tmp_path: Path) -> None:
    with closing(SqlStorage(SqliteFile(tmp_path / "jobs.db"))) as storage:
        seen: list[tuple[str, int]] = []
        storage.watch(lambda text, rows: seen.append((" ".join(text.split()[:3]), rows)))
        jobs = [a_ready_job(f"job-{n}", n) for n in range(50)]
        counters = {("default", "pending"): 50, ("default", "accepted"): 50}
        save(storage, added(*jobs, history=[a_row(job) for job in jobs], counters=counters))
        assert seen == [("INSERT INTO jobs", 50), ("INSERT INTO history", 50), ("INSERT INTO counters", 2)]
        seen.clear()
        with storage.begin() as transaction:
            grant(transaction, [job.id for job in jobs])
        assert seen == [
            ("SELECT jobs.id, jobs.version,", 1),
            ("INSERT INTO attempts", 50),
            ("UPDATE jobs SET", 50),
            ("INSERT INTO history", 50),
        ]  # fmt: skip


def grant(transaction: Transaction, job_ids: list[str]) -> None:
    jobs = list(transaction.take(job_ids).values())
    after = [
        next_version(job, state=JobState.ASSIGNED, ready=None, engine_id="e", live_attempt=1) for job in jobs
    ]
    attempts = [an_attempt(job.id) for job in jobs]
    changes = [Change(ref_of(job), job, new) for job, new in zip(jobs, after, strict=True)]
    changes += [Change(ref_of(attempt), None, attempt) for attempt in attempts]
    transaction.save(ChangeSet(changes=changes, history=[a_row(job) for job in after]))


def test_a_row_is_parsed_once(tmp_path: Path) -> None:
    with closing(SqlStorage(SqliteFile(tmp_path / "jobs.db"))) as storage:
        job = a_job()
        save(storage, added(job))
        with storage.begin() as transaction:
            assert transaction.load([ref_of(job)])[ref_of(job)] is job
        with storage.begin() as transaction:
            transaction.save(ChangeSet(changes=[Change(ref_of(job), job, None)]))
        save(storage, added(attrs.evolve(job, held="again")))
        with storage.read() as snapshot:
            assert snapshot.load([ref_of(job)])[ref_of(job)] == attrs.evolve(job, held="again")
