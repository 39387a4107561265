"""Whatever is written, in whatever order, every store gives the same answers to every question."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core.ports.storage import (
    QUERY_FIELDS,
    Change,
    ChangeSet,
    Query,
    Recorded,
    Storage,
    Tally,
    Transaction,
    rank_of,
)
from dispatch_core.storage import MemoryStorage
from dispatch_core.storage.sql import SqliteMemory, SqlStorage
from dispatch_core.storage.sql.postgresql import PostgresqlDatabase
from dispatch_core.testing.samples import (
    a_job,
    a_pulse,
    a_receipt,
    a_row,
    an_attempt,
    an_engine,
    next_version,
)
from dispatch_core.vocabulary.clock import ManualClock
from dispatch_core.vocabulary.engines import Seen
from dispatch_core.vocabulary.errors import ConflictError
from dispatch_core.vocabulary.jobs import JobSpec, JobState, Ready
from dispatch_core.vocabulary.records import Record, RecordType, Ref, ref_of
from tests.support.postgres import Databases

KEYS = st.sampled_from(["a", "b", "a-b", "é", "A", "a b", "\U0001f39e", "\uffee"])
ENGINES = st.sampled_from(["e", "f"])
SMALL = st.integers(-3, 3)
TIMES = st.none() | SMALL
LARGE = st.integers(-(2**63), 2**63 - 1)
PLACES = st.builds(Ready, st.sampled_from(["open", "engine:e"]), st.sampled_from(["x", "y", "é"]), SMALL,
                   SMALL | LARGE, st.integers(0, 9), st.floats(0, 1e9))  # fmt: skip
SPECS = st.builds(
    JobSpec,
    kind=st.sampled_from(["k", "l"]),
    priority=SMALL,
    account=st.sampled_from([None, "a", "1", "e"]),
    campaign=st.sampled_from([None, "a", "t"]),
)

JOBS = st.builds(
    a_job, KEYS, tenant=st.sampled_from(["t", "u"]), state=st.sampled_from(list(JobState)), spec=SPECS,
    created_us=SMALL, updated_us=SMALL | LARGE, engine_id=st.none() | ENGINES, ttl_at_us=TIMES, retry_at_us=TIMES,
    grace_at_us=TIMES, deleted_us=TIMES, ready=st.none() | PLACES, result=st.none() | st.just({"x": [1.5]}),
)  # fmt: skip
ATTEMPTS = st.builds(
    an_attempt, KEYS, st.integers(1, 12), engine_id=ENGINES, granted_us=SMALL, deadline_us=SMALL,
    run_until_us=TIMES, stall_us=TIMES, ended_us=TIMES,
)  # fmt: skip
OTHERS = (
    st.builds(an_engine, KEYS, seen=st.sampled_from(list(Seen)), registered_us=SMALL)
    | st.builds(a_pulse, KEYS, due_us=TIMES)
    | st.builds(a_receipt, KEYS, due_us=TIMES)
)
RECORDS: st.SearchStrategy[Any] = JOBS | ATTEMPTS | OTHERS
STEPS = st.tuples(st.lists(st.tuples(RECORDS, st.sampled_from(["write", "write", "delete", "stale"])), max_size=6),
                  st.dictionaries(st.tuples(st.just("t"), st.sampled_from(["c", "d"])), SMALL), st.booleans())  # fmt: skip


def numbers(kind: RecordType) -> list[str]:
    return [name for name in QUERY_FIELDS[kind] if name.endswith("_us") or name in ("priority", "number")]


QUERIES = st.sampled_from(list(RecordType)).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.builds(
            Query, sort=st.sampled_from(sorted(QUERY_FIELDS[kind])), descending=st.booleans(), limit=st.integers(1, 4),
            where=st.dictionaries(st.sampled_from(sorted(QUERY_FIELDS[kind])),
                                  st.lists(st.sampled_from(["t", "e", "pending", "a", "no", "1", "live"])).map(tuple),
                                  max_size=2),
            since=st.dictionaries(st.sampled_from(numbers(kind)), SMALL, max_size=1) if numbers(kind) else st.just({}),
            until=st.dictionaries(st.sampled_from(numbers(kind)), SMALL, max_size=1) if numbers(kind) else st.just({}),
        ),
    )
)  # fmt: skip


def change_set(state: Mapping[Ref, Record], step: Any) -> ChangeSet:
    """A step as the shell would write it: each record once, most of them as they are stored."""
    wishes, counters, _ = step
    changes: dict[Ref, Change] = {}
    for record, wish in wishes:
        ref, before = ref_of(record), state.get(ref_of(record))
        after = record if before is None else attrs.evolve(record, version=before.version + 1)
        if isinstance(before, type(an_attempt())):  # what is written once stays as it was
            after = attrs.evolve(after, engine_id=before.engine_id, granted_us=before.granted_us)
        elif isinstance(before, type(a_job())):
            spec = attrs.evolve(after.spec, campaign=before.spec.campaign)
            after = attrs.evolve(after, tenant=before.tenant, created_us=before.created_us, spec=spec)
        if wish == "delete" and before is not None:
            changes[ref] = Change(ref, before, None)
        elif wish == "stale":
            changes[ref] = Change(ref, next_version(before or record), after)
        else:
            changes[ref] = Change(ref, before, after)
    rows = [a_row(change.after) for change in changes.values() if change.after is not None]
    return ChangeSet(changes=list(changes.values()), history=rows, counters=counters)


def outcome(storage: Storage, changes: ChangeSet, *, fail: bool) -> object:
    try:
        with storage.begin() as transaction:
            transaction.save(changes)
            if fail:
                raise ZeroDivisionError
    except ConflictError as conflict:
        return set(conflict.losers)
    except ZeroDivisionError:
        return "failed"
    return "saved"


def answers(transaction: Transaction, queries: list[tuple[RecordType, Query]]) -> Iterator[object]:
    """What the store says to everything that can be asked."""
    buckets = sorted(transaction.buckets())
    yield buckets
    heads = transaction.heads(buckets, 3)
    yield {bucket: list(jobs) for bucket, jobs in heads.items()}
    behind = {bucket: rank_of(jobs[0]) for bucket, jobs in heads.items()}
    yield {bucket: list(jobs) for bucket, jobs in transaction.heads(buckets, 2, behind).items() if jobs}
    for kind in RecordType:
        yield [transaction.due(kind, 2, limit, after_us=after) for limit in (2, 50) for after in (None, -1)]
    yield {engine: list(opened) for engine, opened in transaction.open_attempts(["e", "f", "g"]).items()}
    for kind, query in queries:
        page = transaction.find(kind, query)
        yield list(page.records), page.next
        if page.next is not None:
            yield list(transaction.find(kind, attrs.evolve(query, after=page.next)).records)
    rows = list(transaction.history(limit=1_000))
    yield [attrs.evolve(row, tx=0) for row in rows]
    yield [_of(transaction, row) for row in rows[:5]]
    yield [{cell.keys: (cell.count, cell.total) for cell in transaction.tally(what)} for what in Tally]
    campaigns = [(tenant, name) for tenant in "tu" for name in "at"]
    yield [set(transaction.tally(Tally.CAMPAIGN, of)) for of in campaigns]


def _of(transaction: Transaction, row: Recorded) -> object:
    return [
        attrs.evolve(each, tx=0) for each in transaction.history(of=row.ref, after=(row.tx, row.n), limit=2)
    ]


STORIES = {
    "steps": st.lists(STEPS, max_size=8),
    "queries": st.lists(QUERIES, max_size=8),
    "cached": st.integers(0, 4),
}


@settings(max_examples=30)
@given(**STORIES)
def test_memory_and_sqlite_agree(
    steps: list[Any], queries: list[tuple[RecordType, Query]], cached: int
) -> None:
    """A file of one server."""
    clock = ManualClock()
    agree(clock, SqlStorage(SqliteMemory(), clock=clock, records_cached=cached), steps, queries)


@settings(max_examples=15)
@given(**STORIES)
def test_memory_and_postgresql_agree(
    postgres_databases: Databases, steps: list[Any], queries: list[tuple[RecordType, Query]], cached: int
) -> None:
    """A database of many servers."""
    clock = ManualClock()
    url = postgres_databases.lend()
    try:
        storage = SqlStorage(PostgresqlDatabase(url), clock=clock, records_cached=cached)
        agree(clock, storage, steps, queries)
    finally:
        postgres_databases.take_back(url)


def agree(
    clock: ManualClock, under_test: Storage, steps: list[Any], queries: list[tuple[RecordType, Query]]
) -> None:
    memory = MemoryStorage(clock)
    with closing(under_test) as sql:
        state: dict[Ref, Record] = {}
        for step in steps:
            changes, fail = change_set(state, step), step[2]
            result = outcome(memory, changes, fail=fail)
            assert outcome(sql, changes, fail=fail) == result
            if result == "saved":
                state.update(
                    {change.ref: change.after for change in changes.changes if change.after is not None}
                )
                for change in changes.changes:
                    if change.after is None:
                        del state[change.ref]
            with memory.begin() as one, sql.begin() as other:
                assert one.load(list(state)) == other.load(list(state)) == state
        with memory.read() as one, sql.read() as other:
            assert list(answers(one, queries)) == list(answers(other, queries))
