"""The laws of a store, as tests. A new store is right when a subclass of ``StorageSuite`` passes.

.. code-block:: python

    class TestMyStorage(StorageSuite):
        @pytest.fixture(autouse=True)
        def _place(self, tmp_path):
            self.path = tmp_path / "store"

        def open_storage(self, clock):
            return MyStorage(self.path, clock=clock)

For readable failures, call ``pytest.register_assert_rewrite("dispatch_core.testing")`` in
your ``conftest.py`` before this module is imported.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue

import attrs
import pytest

from dispatch_core.ports.storage import (
    Cell,
    Change,
    ChangeSet,
    Query,
    Storage,
    Tally,
)
from dispatch_core.testing.samples import (
    BUCKET,
    FULL_JOB,
    NASTY_TEXT,
    SAMPLES,
    a_job,
    a_key,
    a_pulse,
    a_ready_job,
    a_receipt,
    a_row,
    added,
    an_attempt,
    an_engine,
    changed,
    load,
    next_version,
    save,
)
from dispatch_core.testing.storage_reads import ReadingLaws
from dispatch_core.vocabulary.bounds import INT_MAX
from dispatch_core.vocabulary.clock import ManualClock
from dispatch_core.vocabulary.errors import ConflictError, InvariantError, StorageUnavailableError
from dispatch_core.vocabulary.jobs import Bucket, JobSpec, JobState
from dispatch_core.vocabulary.records import Record, RecordType, ref_of

HEARD_S = 10.0
"""How long news of another server's work may take in a test; it takes milliseconds."""


class StorageSuite(ReadingLaws):
    """Subclass it and say how to open a store; every test of it then holds for that store."""

    # ----- records

    @pytest.mark.parametrize("record", SAMPLES, ids=lambda record: record.record_type)
    def test_a_record_comes_back_as_it_was_saved(self, storage: Storage, record: Record) -> None:
        save(storage, added(record))
        assert load(storage, record) == record
        after = next_version(attrs.evolve(record, version=1))
        save(storage, changed((record, None)))
        assert load(storage, record) is None
        save(storage, added(after))
        assert load(storage, record) == after

    def test_every_field_of_a_job_can_be_changed_and_cleared(self, storage: Storage) -> None:
        bare = attrs.evolve(
            FULL_JOB, version=2, result=None, error=None, pin=None, ready=None, engine_id=None
        )
        save(storage, added(attrs.evolve(FULL_JOB, version=1)))
        save(storage, changed((attrs.evolve(FULL_JOB, version=1), bare)))
        assert load(storage, bare) == bare
        full = attrs.evolve(FULL_JOB, version=3, created_us=bare.created_us, spec=JobSpec(priority=3))
        save(storage, changed((bare, full)))
        assert load(storage, full) == full

    def test_every_type_of_record_has_samples(self) -> None:
        assert {record.record_type for record in SAMPLES} == {kind.value for kind in RecordType}

    def test_only_what_is_there_is_loaded(self, storage: Storage) -> None:
        save(storage, added(a_job("a"), an_attempt("a"), an_engine("a")))
        refs = [
            (RecordType.JOB, "a"), (RecordType.JOB, "b"), (RecordType.ATTEMPT, "a/1"), (RecordType.ATTEMPT, "a"),
            (RecordType.ATTEMPT, "a/01"), (RecordType.ATTEMPT, "a/x"), (RecordType.ATTEMPT, "a/-1"),
            (RecordType.PULSE, "a"), (RecordType.JOB, "a\x00b"), (RecordType.JOB, "\ud800"), (RecordType.JOB, ""),
        ]  # fmt: skip
        with storage.begin() as transaction:
            for lock in (False, True):
                found = transaction.load(refs, lock=lock)
                assert found == {refs[0]: a_job("a"), refs[2]: an_attempt("a")}
            assert transaction.load([]) == {}
            assert transaction.take(["a", "b"]) == {"a": a_job("a")}
            assert transaction.take([]) == {}

    def test_now_is_the_clocks(self, storage: Storage, clock: ManualClock) -> None:
        with storage.begin() as transaction:
            before = transaction.now()
            clock.advance(2)
            assert transaction.now() - before == 2_000_000
        with storage.read() as snapshot:
            assert snapshot.now() == clock.now_us()
        assert storage.monotonic_us() == clock.monotonic_us()

    # ----- conditions

    def test_a_stale_change_loses_and_is_named(self, storage: Storage) -> None:
        first, other = a_job("a"), a_job("b")
        save(storage, added(first, other))
        save(storage, changed((first, next_version(first))))
        with pytest.raises(ConflictError) as caught:
            save(storage, changed((first, next_version(first)), (other, next_version(other))))
        assert list(caught.value.losers) == [(RecordType.JOB, "a")]

    @pytest.mark.parametrize("record", [a_job(), an_attempt(), an_engine(), a_pulse(), a_receipt(), a_key()],
                             ids=lambda record: record.record_type)  # fmt: skip
    def test_a_record_is_inserted_updated_and_deleted_only_as_it_was_read(
        self, storage: Storage, record: Record
    ) -> None:
        second = next_version(record)
        for refused in (changed((record, second)), changed((record, None))):
            with pytest.raises(ConflictError):
                save(storage, refused)
        save(storage, added(record))
        for refused in (added(record), changed((second, None)), changed((second, next_version(second)))):
            with pytest.raises(ConflictError) as caught:
                save(storage, refused)
            assert list(caught.value.losers) == [ref_of(record)]
        assert load(storage, record) == record

    def test_a_conflict_leaves_no_trace(self, storage: Storage) -> None:
        stale = a_job("stale", version=5)
        fresh = a_ready_job("fresh")
        with pytest.raises(ConflictError):
            save(storage, ChangeSet(
                changes=[Change(ref_of(fresh), None, fresh), Change(ref_of(stale), stale, next_version(stale))],
                history=[a_row(fresh)], counters={("default", "c"): 1}, wake=frozenset({BUCKET}),
            ))  # fmt: skip
        self._nothing_is_stored(storage)

    def test_an_exception_after_save_rolls_everything_back(self, storage: Storage) -> None:
        with pytest.raises(ZeroDivisionError), storage.begin() as transaction:
            job = a_ready_job("a", ttl_at_us=5)
            transaction.save(added(job, history=[a_row(job)], counters={("default", "c"): 1}))
            raise ZeroDivisionError
        self._nothing_is_stored(storage)
        save(storage, added(job, history=[a_row(job)]))
        assert load(storage, job) == job

    def _nothing_is_stored(self, storage: Storage) -> None:
        with storage.read() as snapshot:
            assert snapshot.find(RecordType.JOB, Query(sort="created_us")).records == []
            assert list(snapshot.buckets()) == []
            assert list(snapshot.history()) == []
            assert list(snapshot.due(RecordType.JOB, INT_MAX, 10)) == []
            assert [cell for what in Tally for cell in snapshot.tally(what)] == []

    def test_a_version_that_was_rolled_back_may_be_written_otherwise(self, storage: Storage) -> None:
        job = a_job()
        save(storage, added(job))
        with pytest.raises(ZeroDivisionError), storage.begin() as transaction:
            transaction.save(changed((job, next_version(job, held="one"))))
            transaction.load([ref_of(job)])
            raise ZeroDivisionError
        save(storage, changed((job, next_version(job, held="other"))))
        with storage.begin() as transaction:
            assert transaction.take([job.id]) == {job.id: next_version(job, held="other")}

    def test_a_conflict_caught_inside_the_block_leaves_no_trace_either(self, storage: Storage) -> None:
        job = a_job()
        with storage.begin() as transaction, pytest.raises(ConflictError):
            transaction.save(changed((job, next_version(job)), history=[a_row(job)]))
        self._nothing_is_stored(storage)
        save(storage, added(job))
        assert load(storage, job) == job

    def test_threads_that_repeat_after_a_conflict_all_get_through(self, storage: Storage) -> None:
        save(storage, added(a_job(), counters={("default", "written"): 0}))
        with ThreadPoolExecutor(8) as pool:
            written = sum(pool.map(lambda _: self._count_up(storage), range(80)))
        assert written == 80
        stored = load(storage, a_job())
        assert stored is not None
        assert stored.version == 81
        with storage.read() as snapshot:
            rows = snapshot.history(limit=200)
            assert [row.version for row in rows] == list(range(2, 82))
            assert [cell.count for cell in snapshot.tally(Tally.COUNTERS)] == [80]

    def _count_up(self, storage: Storage) -> int:
        ref = ref_of(a_job())
        for _ in range(1_000):
            with suppress(ConflictError), storage.begin() as transaction:
                job = transaction.load([ref], lock=True)[ref]
                after = next_version(job)
                counters = {("default", "written"): 1}
                transaction.save(changed((job, after), history=[a_row(after)], counters=counters))
                return 1
        return 0

    def test_save_is_refused_in_a_snapshot_and_the_second_time(self, storage: Storage) -> None:
        with storage.read() as snapshot, pytest.raises(InvariantError):
            snapshot.save(added(a_job()))
        with pytest.raises(InvariantError), storage.begin() as transaction:
            transaction.save(added(a_job("a")))
            transaction.save(added(a_job("b")))
        self._nothing_is_stored(storage)

    def test_transactions_that_overlap_cannot_both_win(self, storage: Storage) -> None:
        self._needs_sharing(storage)
        job = a_job()
        save(storage, added(job))
        with pytest.raises(ConflictError), storage.begin() as slow:
            seen = slow.load([ref_of(job)])[ref_of(job)]
            with storage.begin() as fast:
                fast.save(changed((job, next_version(job, held="fast"))))
            slow.save(changed((seen, next_version(seen, held="slow"))))
        assert load(storage, job) == next_version(job, held="fast")

    def _needs_sharing(self, storage: Storage) -> None:
        if not storage.traits.shared:
            pytest.skip("this store has one writer at a time")

    # ----- history and numbers

    def test_forgotten_history_is_gone_and_what_the_same_batch_says_stays(self, storage: Storage) -> None:
        a, b = a_job("a"), an_engine("a")
        save(storage, added(a, b, history=[a_row(a, "one"), a_row(b, "two"), a_row(a, "three")]))
        end = Change(ref_of(a), a, None)
        save(storage, ChangeSet(changes=[end], history=[a_row(a, "gone")], forgotten=[ref_of(a)]))
        with storage.read() as snapshot:
            assert [row.event for row in snapshot.history()] == ["two", "gone"]
            assert [row.event for row in snapshot.history(of=ref_of(a))] == ["gone"]
            assert snapshot.load([ref_of(a)]) == {}

    def test_history_is_kept_in_the_order_of_commits(self, storage: Storage) -> None:
        a, b = a_job("a"), an_engine("a")
        rows = [
            a_row(a, "one"),
            a_row(b, "two", data={"text": NASTY_TEXT}),
            a_row(a, "three", request_id="r"),
        ]
        save(storage, added(a, b, history=rows[:2]))
        save(storage, ChangeSet(history=rows[2:]))
        with storage.read() as snapshot:
            found = snapshot.history()
            assert [attrs.evolve(row, tx=0, n=0) for row in found] == rows
            places = [(row.tx, row.n) for row in found]
            assert places == sorted(set(places))
            assert places[0][0] == places[1][0] < places[2][0]
            assert [row.event for row in snapshot.history(of=ref_of(a))] == ["one", "three"]
            assert [row.event for row in snapshot.history(of=ref_of(b))] == ["two"]
            assert snapshot.history(of=(RecordType.JOB, "none")) == []
            assert [row.event for row in snapshot.history(limit=1)] == ["one"]
            assert [row.event for row in snapshot.history(after=places[0], limit=1)] == ["two"]
            assert [row.event for row in snapshot.history(after=places[0], of=ref_of(a))] == ["three"]
            assert snapshot.history(after=places[2]) == []

    def test_counters_add_up(self, storage: Storage) -> None:
        save(storage, ChangeSet(counters={("t", "accepted"): 2, ("t", "pending"): 2, ("u", "accepted"): 1}))
        save(storage, ChangeSet(counters={("t", "accepted"): 3, ("t", "pending"): -1}))
        assert self._tally(storage, Tally.COUNTERS) == {
            Cell(("t", "accepted"), 5), Cell(("t", "pending"), 1), Cell(("u", "accepted"), 1)}  # fmt: skip

    def test_tallies_agree_with_the_rows(self, storage: Storage) -> None:
        jobs = [a_ready_job(f"r{n}", n, bucket=("open", f"c{n % 2}")) for n in range(5)]
        gone = a_job("gone", state=JobState.CANCELLED, deleted_us=1, tenant="t")
        save(storage, added(*jobs, gone))
        assert self._tally(storage, Tally.STATES) == {
            Cell(("default", "pending"), 5),
            Cell(("t", "cancelled"), 1),
        }
        assert self._tally(storage, Tally.BACKLOG) == {
            Cell(("open", "c0"), 3, 30),
            Cell(("open", "c1"), 2, 20),
        }

    def test_a_campaign_is_counted_by_state(self, storage: Storage) -> None:
        films = JobSpec(campaign="films")
        jobs = [
            *(a_ready_job(f"r{n}", n, tenant="t", spec=films) for n in range(3)),
            a_job("held", tenant="t", spec=films, held="by hand"),
            a_job("done", tenant="t", spec=films, state=JobState.COMPLETED),
            a_job("gone", tenant="t", spec=films, state=JobState.COMPLETED, deleted_us=1),
            a_ready_job("news", 9, tenant="t", spec=JobSpec(campaign="news")),
            a_ready_job("none", 9, tenant="t"),
            a_ready_job("theirs", 9, tenant="u", spec=films),
        ]
        save(storage, added(*jobs))
        assert self._tally(storage, Tally.CAMPAIGN, ("t", "films")) == {
            Cell(("pending",), 4, 30),
            Cell(("completed",), 1),
        }
        assert self._tally(storage, Tally.CAMPAIGN, ("u", "films")) == {Cell(("pending",), 1, 10)}
        strange = [("u", "news"), ("t", "none"), ("t", "\x00"), ("\ud800", "films"), None]
        assert [self._tally(storage, Tally.CAMPAIGN, of) for of in strange] == [set()] * 5
        save(storage, changed((jobs[0], next_version(jobs[0], ready=None, state=JobState.ASSIGNED))))
        save(storage, changed((jobs[-1], None), (jobs[1], None)))
        assert self._tally(storage, Tally.CAMPAIGN, ("t", "films")) == {
            Cell(("pending",), 2, 10),
            Cell(("assigned",), 1),
            Cell(("completed",), 1),
        }
        assert self._tally(storage, Tally.CAMPAIGN, ("u", "films")) == set()

    def _tally(self, storage: Storage, what: Tally, of: tuple[str, str] | None = None) -> set[Cell]:
        with storage.read() as snapshot:
            cells = list(snapshot.tally(what, of))
        assert len(set(cells)) == len(cells)
        return set(cells)

    # ----- life

    def test_a_durable_store_keeps_everything(self, storage: Storage, clock: ManualClock) -> None:
        if not storage.traits.durable:
            pytest.skip("this store ends with its process")
        job = a_ready_job("a", ttl_at_us=7)
        save(storage, added(job, history=[a_row(job)], counters={("t", "c"): 1}))
        storage.close()
        again = self.open_storage(clock)
        try:
            assert again.incarnation == storage.incarnation
            assert load(again, job) == job
            assert self._buckets(again) == {BUCKET: ["a"]}
            assert self._tally(again, Tally.COUNTERS) == {Cell(("t", "c"), 1)}
            save(again, ChangeSet(history=[a_row(job, "later")]))
            with again.read() as snapshot:
                assert [row.event for row in snapshot.history()] == ["happened", "later"]
        finally:
            again.close()

    def test_reopening_loses_nothing(self, storage: Storage) -> None:
        job = a_ready_job("a")
        save(storage, added(job, history=[a_row(job)]))
        name = storage.incarnation
        storage.reopen()
        assert storage.incarnation == name
        assert load(storage, job) == job
        save(storage, changed((job, next_version(job)), history=[a_row(job, "later")]))
        with storage.read() as snapshot:
            assert [row.event for row in snapshot.history()] == ["happened", "later"]

    def test_a_closed_store_refuses(self, storage: Storage) -> None:
        storage.close()
        with pytest.raises(StorageUnavailableError), storage.begin():
            pass
        with pytest.raises(StorageUnavailableError), storage.read():
            pass
        storage.close()

    def test_two_stores_have_two_incarnations(self, storage: Storage) -> None:
        assert 8 <= len(storage.incarnation) <= 40
        assert storage.incarnation.isascii()
        assert storage.incarnation.isalnum()

    def test_those_who_listen_hear_of_another_servers_work(
        self, storage: Storage, clock: ManualClock
    ) -> None:
        heard: SimpleQueue[frozenset[Bucket]] = SimpleQueue()
        other = self.other_server(storage, clock)
        stop = other.listen(heard.put)
        wake = frozenset({BUCKET})
        with pytest.raises(ConflictError):
            save(storage, changed((a_job(), None), wake=wake))
        save(storage, added(a_ready_job("a"), wake=wake))
        if storage.traits.shared:
            assert heard.get(timeout=HEARD_S) == wake
        assert heard.empty()  # nothing of what was not committed
        stop()
        stop()
        save(storage, added(a_ready_job("b"), wake=wake))
        if other is not storage:
            other.close()
        assert heard.qsize() <= 1
