"""What a batch costs the store: statements, rows written, rows read. The budget of the design, measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import Any

import pytest

from dispatch_core import Benchmark, Context, Dispatcher, Engine, ManualClock, Progress, SeededIds
from dispatch_core.ports.storage import ChangeSet
from dispatch_core.shell.batch import Entry, commit
from dispatch_core.storage import create_storage
from dispatch_core.storage.sql import SqlStorage
from dispatch_core.testing.checkers import check_store
from dispatch_core.vocabulary.commands import Claim, Command, Complete, ReportProgress, Submit
from tests.core.house import claim, claimed, spec, start

CODECS = ("h264", "hevc", "av1", "vp9")
FACTS = {"codec": CODECS, "ffmpeg": "7.0"}


@pytest.fixture
def sql() -> Iterator[SqlStorage]:
    storage = create_storage("sqlite://", clock=ManualClock())
    assert isinstance(storage, SqlStorage)
    with closing(storage):
        yield storage
        storage.watch(None)
        check_store(storage)


@pytest.fixture
def dispatcher(sql: SqlStorage) -> Dispatcher:
    return Dispatcher(sql, ids=SeededIds())


def statements(sql: SqlStorage) -> list[str]:
    """The statements from now on; the list grows."""
    seen: list[str] = []
    sql.watch(lambda text, _rows: seen.append(" ".join(text.split())[:60]))
    return seen


def run(dispatcher: Dispatcher, commands: list[Command]) -> list[Entry]:
    entries = [Entry(command, Context()) for command in commands]
    commit(dispatcher._house, entries)
    for entry in entries:
        entry.answer()
    return entries


def busy(dispatcher: Dispatcher) -> list[Command]:
    """Sixteen each of submit, claim, progress and complete, over four classes and sixteen engines."""
    for number in range(16):
        start(dispatcher, f"e{number}", slots=8, facts=FACTS)
    dispatcher.submit_many(
        [spec(parameters={"source": "a", "target": "b", "codec": CODECS[n % 4]}) for n in range(400)]
    )
    return next_commands(dispatcher)


def next_commands(dispatcher: Dispatcher) -> list[Command]:
    commands: list[Command] = [Submit(specs=(spec(priority=n % 5),)) for n in range(16)]
    commands += [Claim(engine_id=f"e{n}", session="s1") for n in range(16)]
    for number in range(16):
        one, two = dispatcher.claim(f"e{number}", session="s1", limit=2)
        commands.append(
            ReportProgress(
                job_id=one.job.id, token=one.token, engine_id=one.engine_id, progress=Progress(fraction=0.5)
            )
        )
        commands.append(Complete(job_id=two.job.id, token=two.token, engine_id=two.engine_id, result={}))
    return commands


def test_a_mixed_batch_is_ten_statements(sql: SqlStorage, dispatcher: Dispatcher) -> None:
    """Sixty-four commands of four kinds, in steady state, on one transaction: at most ten statements."""
    run(dispatcher, busy(dispatcher))
    commands = next_commands(dispatcher)
    seen = statements(sql)
    entries = run(dispatcher, commands)
    assert len(entries) == 64
    assert sum(len(entry.result) for entry in entries if isinstance(entry.command, Claim)) == 16
    assert len(seen) <= 10, "\n".join(seen)


@pytest.mark.parametrize("size", [1, 10, 100])
def test_the_number_of_statements_does_not_grow_with_the_batch(
    sql: SqlStorage, dispatcher: Dispatcher, size: int
) -> None:
    """A hundred claims cost as many statements as one."""
    start(dispatcher, slots=300)
    dispatcher.submit_many([spec()] * 300)
    claimed(dispatcher)
    seen = statements(sql)
    run(dispatcher, [Claim(engine_id="e1", session="s1") for _ in range(size)])
    assert len(seen) <= 9, "\n".join(seen)


def test_a_lifecycle_is_eight_rows(
    sql: SqlStorage, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submit, claim, complete: three writes of the job, two of the attempt, three of history. Claims write no engine."""
    start(dispatcher)
    saved: list[ChangeSet] = []
    inner = sql.begin

    def begin() -> object:
        block = inner()
        transaction = block.__enter__()
        save = transaction.save

        def spy(changes: ChangeSet) -> None:
            saved.append(changes)
            save(changes)

        transaction.save = spy  # type: ignore[method-assign]  # only to look
        return _Again(block, transaction)

    monkeypatch.setattr(sql, "begin", begin)
    dispatcher.submit(spec())
    dispatcher.complete(claim(dispatcher))
    written = Counter(change.ref[0].value for changes in saved for change in changes.changes)
    assert written == {"job": 3, "attempt": 2}
    assert sum(len(changes.history) for changes in saved) == 3
    assert [len(changes.counters) for changes in saved] == [2, 2, 2], (
        "counters are a row per state and batch, not per job"
    )


class _Again:
    """A block that is entered already."""

    def __init__(self, block: object, transaction: object) -> None:
        self._block, self._transaction = block, transaction

    def __enter__(self) -> object:
        return self._transaction

    def __exit__(self, *error: object) -> object:
        return self._block.__exit__(*error)  # type: ignore[attr-defined]  # a context manager


def test_counters_are_few_however_large_the_batch(sql: SqlStorage, dispatcher: Dispatcher) -> None:
    """A thousand jobs of one tenant touch two counters."""
    rows: Counter[str] = Counter()
    sql.watch(lambda text, count: rows.update({text.split()[2]: count} if text.startswith("INSERT") else {}))
    dispatcher.submit_many([spec()] * 1_000)
    assert rows == {"jobs": 1_000, "history": 1_000, "counters": 2}


def test_nothing_is_written_when_nothing_happened(sql: SqlStorage, dispatcher: Dispatcher) -> None:
    """A claim that finds nothing, a renewal too early, a repeat: reads only."""
    start(dispatcher)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    dispatcher.complete(lease)
    seen = statements(sql)
    assert claimed(dispatcher) == []
    dispatcher.complete(lease)
    assert not [text for text in seen if not text.startswith(("SELECT", "WITH"))], "\n".join(seen)


def rows_of(storage: SqlStorage, method: str, rows: Callable[[Any], Iterable[Any]]) -> list[Any]:
    """The rows that a method of this store's transactions gives from now on; the list grows."""
    read: list[Any] = []
    opened = storage._transaction

    def watched(*arguments: Any, **named: Any) -> Any:
        transaction = opened(*arguments, **named)
        inner = getattr(transaction, method)

        def counting(*asked: Any, **how: Any) -> Any:
            found = inner(*asked, **how)
            read.extend(rows(found))
            return found

        setattr(transaction, method, counting)
        return transaction

    storage._transaction = watched  # type: ignore[method-assign]  # only to look
    return read


def rows_read(backlog: int) -> int:
    """Job rows that sixty claims read of the ready order, at a backlog of this size."""
    with closing(create_storage("sqlite://", clock=ManualClock())) as storage:
        assert isinstance(storage, SqlStorage)
        dispatcher = Dispatcher(storage, ids=SeededIds())
        for _ in range(max(backlog // 1_000, 1)):
            dispatcher.submit_many([spec(note=str(n % 7)) for n in range(min(backlog, 1_000))])
        start(dispatcher, slots=100)
        read = rows_of(storage, "heads", lambda found: chain.from_iterable(found.values()))
        for _ in range(60):
            assert len(claimed(dispatcher)) == 1
        dispatcher.close()
        return len(read)


@pytest.mark.checklist(16)
@pytest.mark.checklist(48)
def test_a_claim_reads_as_much_at_any_backlog() -> None:
    """Sixty claims read the same rows of the ready order at 100 pending jobs and at 5,000: about two each."""
    small, large = rows_read(100), rows_read(5_000)
    assert large <= small + 16
    assert large <= 60 * 2


@pytest.mark.checklist(49)
def test_a_claim_reads_one_engine_in_any_fleet(sql: SqlStorage, dispatcher: Dispatcher) -> None:
    """Among two hundred engines a claim reads the row of the one that asks; no list of engines is read or sorted."""
    for number in range(200):
        start(
            dispatcher,
            f"e{number}",
            benchmarks=(Benchmark(task_class="h264/1080p/encode", units_per_s=1 + number),),
        )
    dispatcher.submit_many([spec()] * 40)
    claimed(dispatcher, "e0")
    listed = rows_of(sql, "find", lambda page: page.records)
    loaded = rows_of(sql, "load", lambda found: found.values())
    for number in range(20):
        assert len(claimed(dispatcher, f"e{number}")) == 1
    assert listed == []
    assert [row.id for row in loaded if isinstance(row, Engine)] == [f"e{number}" for number in range(20)]
