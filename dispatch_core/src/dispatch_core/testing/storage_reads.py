"""The laws of reading a store: the ready order, timers, pages. Part of ``storage_suite``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import pytest

from dispatch_core.ports.storage import (
    Page,
    Query,
    Storage,
    rank_of,
)
from dispatch_core.testing.samples import (
    BUCKET,
    NASTY_TEXT,
    a_job,
    a_key,
    a_pulse,
    a_ready_job,
    a_receipt,
    added,
    an_attempt,
    an_engine,
    changed,
    ids_of,
    load,
    next_version,
    save,
)
from dispatch_core.vocabulary.bounds import INT_MAX
from dispatch_core.vocabulary.clock import Clock, ManualClock
from dispatch_core.vocabulary.engines import Seen
from dispatch_core.vocabulary.jobs import Bucket, Job, JobSpec, JobState, Ready
from dispatch_core.vocabulary.records import Record, RecordType


class ReadingLaws:
    """The half of the suite about finding what was saved; ``StorageSuite`` is the whole."""

    def open_storage(self, clock: Clock) -> Storage:
        """The store of this test. Called again, after ``close``, it opens the same one."""
        raise NotImplementedError

    def other_server(self, storage: Storage, clock: Clock) -> Storage:
        """Another server's handle of the store of this test, where several may share it.

        By default the same object. One that is another is closed when the test ends.
        """
        return storage

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def storage(self, clock: ManualClock) -> Iterator[Storage]:
        storage = self.open_storage(clock)
        yield storage
        storage.close()

    # ----- ended jobs, by their last change

    def test_settled_jobs_come_longest_unchanged_first(self, storage: Storage) -> None:
        def ended(key: str, at_us: int, state: JobState = JobState.COMPLETED, **fields: Any) -> Job:
            return a_job(key, state=state, updated_us=at_us, ended_us=at_us, **fields)

        gone = ended("gone", 2, deleted_us=2)
        save(
            storage,
            added(ended("b", 5), ended("a", 5), ended("old", 3), ended("new", 9), gone, a_job("waits")),
        )
        save(storage, added(ended("failed", 4, JobState.FAILED_PERMANENTLY)))
        with storage.read() as snapshot:
            done = JobState.COMPLETED
            assert snapshot.settled(done, 8, 9, deleted=False) == [(3, "old"), (5, "a"), (5, "b")]
            assert snapshot.settled(done, 5, 2, deleted=False) == [(3, "old"), (5, "a")]
            assert snapshot.settled(done, 8, 9, deleted=False, after=(5, "a")) == [(5, "b")]
            assert snapshot.settled(done, 2, 9, deleted=False) == []
            assert snapshot.settled(done, 9, 9, deleted=True) == [(2, "gone")]
            failed = snapshot.settled(JobState.FAILED_PERMANENTLY, 9, 9, deleted=False)
            assert failed == [(4, "failed")]
        save(storage, changed((gone, next_version(gone, updated_us=9, deleted_us=None))))
        with storage.read() as snapshot:
            assert snapshot.settled(done, 9, 9, deleted=True) == []
            assert snapshot.settled(done, 9, 9, deleted=False)[-1] == (9, "new")

    # ----- the ready order

    def test_heads_come_in_rank_order(self, storage: Storage) -> None:
        ranks = [
            ("a", 0, 5),
            ("b", 0, 5),
            ("A", 0, 5),
            ("c", 0, -7),
            ("d", 1, -99),
            ("e", -1, 99),
            ("f", 0, 2**40),
        ]
        jobs = [a_ready_job(key, order_key, band=band) for key, band, order_key in ranks]
        save(storage, added(*jobs, a_job("not-ready")))
        expected = [job.id for job in sorted(jobs, key=rank_of)]
        assert expected == ["e", "c", "A", "a", "b", "f", "d"]
        with storage.read() as snapshot:
            assert ids_of(snapshot.heads([BUCKET], 10)) == expected
            assert ids_of(snapshot.heads([BUCKET], 3)) == expected[:3]
            assert snapshot.heads([BUCKET], 1)[BUCKET] == [jobs[5]]
            for place, key in enumerate(expected):
                after = {BUCKET: rank_of(next(job for job in jobs if job.id == key))}
                assert ids_of(snapshot.heads([BUCKET], 2, after)) == expected[place + 1 : place + 3]

    def test_heads_are_of_the_buckets_asked_for(self, storage: Storage) -> None:
        buckets = [("open", "a"), ("open", NASTY_TEXT), ("engine:e", "a"), ("a", "open")]
        jobs = {bucket: [a_ready_job(f"{n}-{m}", m, bucket=bucket) for m in range(3)]
                for n, bucket in enumerate(buckets)}  # fmt: skip
        save(storage, added(*(job for mine in jobs.values() for job in mine)))
        with storage.read() as snapshot:
            assert set(snapshot.buckets()) == set(buckets)
            assert len(snapshot.buckets()) == len(buckets)
            found = snapshot.heads(
                [*buckets[:3], ("open", "none"), ("none", "a")], 2, {buckets[0]: (0, 0, "0-0")}
            )
            assert {bucket: list(heads) for bucket, heads in found.items() if heads} == {
                buckets[0]: jobs[buckets[0]][1:],
                buckets[1]: jobs[buckets[1]][:2],
                buckets[2]: jobs[buckets[2]][:2],
            }
            assert not snapshot.heads([], 5)

    def test_buckets_appear_and_disappear(self, storage: Storage) -> None:
        first, second = a_ready_job("a"), a_ready_job("b")
        save(storage, added(first, second))
        away = next_version(first, ready=None, state=JobState.CANCELLED)
        save(storage, changed((first, away)))
        assert self._buckets(storage) == {BUCKET: ["b"]}
        # A re-route moves the lane alone: no version.
        moved = attrs.evolve(second, ready=Ready("engine:e", BUCKET[1], 0, 0, 10, 1.5))
        save(storage, changed((second, moved)))
        assert self._buckets(storage) == {("engine:e", BUCKET[1]): ["b"]}
        assert load(storage, moved) == moved
        save(storage, changed((moved, None)))
        assert self._buckets(storage) == {}

    def _buckets(self, storage: Storage) -> Mapping[Bucket, Sequence[str]]:
        with storage.read() as snapshot:
            buckets = snapshot.buckets()
            return {bucket: ids_of(snapshot.heads([bucket], 9), bucket) for bucket in buckets}

    # ----- timers and open attempts

    def test_what_is_due_comes_earliest_first(self, storage: Storage) -> None:
        jobs = [
            a_job(key, ttl_at_us=due)
            for key, due in [("a", 30), ("b", 10), ("d", 20), ("c", 20), ("e", None)]
        ]
        save(storage, added(*jobs))
        assert self._due(storage, RecordType.JOB, 30) == ["b", "c", "d", "a"]
        assert self._due(storage, RecordType.JOB, 29) == ["b", "c", "d"]
        assert self._due(storage, RecordType.JOB, 9) == []
        assert self._due(storage, RecordType.JOB, 30, limit=2) == ["b", "c"]
        assert self._due(storage, RecordType.JOB, 30, after_us=10) == ["c", "d", "a"]
        assert self._due(storage, RecordType.JOB, 30, after_us=20) == ["a"]
        save(storage, changed((jobs[1], next_version(jobs[1], ttl_at_us=None))))
        save(storage, changed((jobs[2], next_version(jobs[2], ttl_at_us=31)), (jobs[3], None)))
        assert self._due(storage, RecordType.JOB, 99) == ["a", "d"]

    @pytest.mark.parametrize("record", [an_attempt(deadline_us=50, run_until_us=40), a_pulse(due_us=40),
                                        a_receipt(due_us=40)], ids=lambda record: record.record_type)  # fmt: skip
    def test_every_type_with_a_timer_falls_due(self, storage: Storage, record: Any) -> None:
        kind = RecordType(record.record_type)
        save(storage, added(record))
        assert self._due(storage, kind, 39) == []
        assert self._due(storage, kind, 40) == [record.key]
        never = {"ended_us": 1} if isinstance(record, type(an_attempt())) else {"due_us": None}
        save(storage, changed((record, next_version(record, **never))))
        assert self._due(storage, kind, INT_MAX) == []

    def _due(
        self,
        storage: Storage,
        kind: RecordType,
        before_us: int,
        *,
        limit: int = 10,
        after_us: int | None = None,
    ) -> list[str]:
        with storage.read() as snapshot:
            found = snapshot.due(kind, before_us, limit, after_us=after_us)
        assert {of for of, _ in found} <= {kind}
        return [key for _, key in found]

    def test_open_attempts_are_told_for_every_engine_asked(self, storage: Storage) -> None:
        mine = [an_attempt("a", 2), an_attempt("a", 10), an_attempt("b", 1)]
        other, ended = an_attempt("c", engine_id="other"), an_attempt("d", ended_us=5)
        save(storage, added(*mine, other, ended))
        with storage.read() as snapshot:
            found = snapshot.open_attempts(["engine-1", "other", "none"])
            assert {engine: list(opened) for engine, opened in found.items()} == {
                "engine-1": mine, "other": [other], "none": []}  # fmt: skip
            assert snapshot.open_attempts([]) == {}
        save(storage, changed((mine[0], next_version(mine[0], ended_us=6, outcome=None))))
        with storage.read() as snapshot:
            assert list(snapshot.open_attempts(["engine-1"])["engine-1"]) == mine[1:]

    # ----- pages

    def test_a_query_filters(self, storage: Storage) -> None:
        jobs = [
            a_job("a", tenant="t", state=JobState.ASSIGNED, engine_id="e", created_us=1),
            a_job("b", tenant="t", state=JobState.CANCELLED, deleted_us=5, created_us=2, ended_us=1),
            a_job("c", tenant="t", spec=JobSpec(kind="k", priority=-5, campaign="p"), created_us=3),
            a_job("d", tenant="other", created_us=4),
        ]
        save(storage, added(*jobs))
        cases: Sequence[tuple[Any, str]] = [
            ({}, "abcd"),
            ({"where": {"tenant": ("t",)}}, "abc"),
            ({"where": {"tenant": ("t",), "state": ("assigned", "pending")}}, "ac"),
            ({"where": {"tenant": ("t", "other"), "deleted": ("no",)}}, "acd"),
            ({"where": {"state": ()}}, ""),
            ({"where": {"engine_id": ("e", "f")}}, "a"),
            ({"where": {"kind": ("k",)}}, "c"),
            ({"where": {"kind": ("\x00",)}}, ""),
            ({"where": {"kind": ("\ud800", "k")}}, "c"),
            ({"where": {"campaign": ("p",), "tenant": ("t",)}}, "c"),
            ({"where": {"campaign": ("p", "q"), "deleted": ("no",)}}, "c"),
            ({"where": {"campaign": ("q",)}}, ""),
            ({"since": {"created_us": 2}, "until": {"created_us": 4}}, "bc"),
            ({"since": {"created_us": -(2**70)}, "until": {"created_us": 2**70}}, "abcd"),
            ({"until": {"priority": 0}}, "c"),
        ]
        for query, expected in cases:
            found = self._find(storage, RecordType.JOB, Query(sort="created_us", **query)).records
            assert "".join(job.key for job in found) == expected, query

    def test_a_prefix_is_one_of_the_key(self, storage: Storage) -> None:
        keys = ["ab", "abc", "abd", "ac", "a", "AB", "ab" + NASTY_TEXT, "ab\U0010ffff", "ac%", "b_"]
        save(storage, added(*(a_job(key, tenant="other" if key == "abd" else "t") for key in keys)))
        mine = {"where": {"tenant": ("t",)}}
        cases: Sequence[tuple[str, Any, set[str]]] = [
            ("ab", {}, {key for key in keys if key.startswith("ab")}),
            ("ab", mine, {key for key in keys if key.startswith("ab")} - {"abd"}),
            ("abc", mine, {"abc"}),
            ("ab\U0010ffff", mine, {"ab\U0010ffff"}),
            ("ac%", mine, {"ac%"}),
            ("a_", mine, set()),
            ("b", {"where": {"tenant": ("t", "u")}}, {"b_"}),
        ]
        for prefix, rest, expected in cases:
            query = Query(sort="created_us", prefix=prefix, **rest)
            found = self._find(storage, RecordType.JOB, query).records
            assert {job.key for job in found} == expected, prefix

    def test_a_prefix_goes_with_pages_and_every_type(self, storage: Storage) -> None:
        jobs = [a_job(f"{letter}{n}", created_us=9 - n) for n in range(5) for letter in "xy"]
        save(storage, added(*jobs, an_engine("x1"), an_attempt("x", 1), an_attempt("y", 1)))
        query = Query(sort="created_us", prefix="x", limit=3)
        first = self._find(storage, RecordType.JOB, query)
        rest = self._find(storage, RecordType.JOB, attrs.evolve(query, after=first.next))
        assert [job.key for job in [*first.records, *rest.records]] == ["x4", "x3", "x2", "x1", "x0"]
        of_x = Query(sort="tenant", prefix="x", where={"tenant": ("default",)})
        assert self._find(storage, RecordType.ENGINE, of_x).records == [an_engine("x1")]
        assert self._find(storage, RecordType.ATTEMPT, of_x).records == [an_attempt("x", 1)]

    def test_a_query_for_a_field_nobody_keeps_is_a_programmers_error(self, storage: Storage) -> None:
        for query in (Query(sort="none"), Query(sort="tenant", where={"none": ("x",)})):
            with pytest.raises(KeyError):
                self._find(storage, RecordType.JOB, query)

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("sort", ["created_us", "state", "priority", "engine_id"])
    def test_pages_have_no_gaps_and_no_repeats(self, storage: Storage, sort: str, descending: bool) -> None:
        jobs = [
            a_job(f"job-{n * 7 % 20:02}", created_us=n // 4, engine_id=None if n % 3 else f"e{n % 2}",
                  spec=JobSpec(priority=n % 3 - 1), state=list(JobState)[n % 2])
            for n in range(20)
        ]  # fmt: skip
        save(storage, added(*jobs))
        seen: list[Record] = []
        query = Query(sort=sort, descending=descending, limit=3)
        while True:
            page = self._find(storage, RecordType.JOB, query)
            seen += page.records
            if page.next is None:
                break
            assert len(page.records) == 3
            query = attrs.evolve(query, after=page.next)
        whole = self._find(storage, RecordType.JOB, attrs.evolve(query, after=None, limit=99)).records
        assert seen == list(whole)
        assert sorted(job.key for job in seen) == sorted(job.id for job in jobs)

    def test_a_page_that_ends_with_the_last_record_is_the_last(self, storage: Storage) -> None:
        save(storage, added(a_job("a"), a_job("b")))
        assert self._find(storage, RecordType.JOB, Query(sort="created_us", limit=2)).next is None

    def test_every_type_can_be_listed(self, storage: Storage) -> None:
        attempts = [an_attempt("a", 2, granted_us=9), an_attempt("a", 10, granted_us=8), an_attempt("b", 1)]
        engines = [an_engine("x", registered_us=5), an_engine("y", registered_us=4, seen=Seen.LOST)]
        save(storage, added(*attempts, *engines, a_pulse("x"), a_receipt()))
        find = self._find
        by_number = Query(where={"job_id": ("a",)}, sort="number")
        assert find(storage, RecordType.ATTEMPT, by_number).records == attempts[:2]
        of_engine = Query(where={"engine_id": ("engine-1",)}, sort="granted_us")
        assert find(storage, RecordType.ATTEMPT, of_engine).records == [attempts[2], attempts[1], attempts[0]]
        assert find(storage, RecordType.ENGINE, Query(sort="registered_us")).records == engines[::-1]
        lost = Query(sort="seen", where={"seen": ("lost",), "tenant": ("default",)})
        assert find(storage, RecordType.ENGINE, lost).records == [engines[1]]
        assert find(storage, RecordType.PULSE, Query(sort="tenant")).records == [a_pulse("x")]
        assert find(storage, RecordType.RECEIPT, Query(sort="tenant")).records == [a_receipt()]

    def test_a_type_without_a_table_of_its_own_is_found_like_any_other(self, storage: Storage) -> None:
        keys = [a_key(f"k{n}", name=f"n{n % 2}", tenant="ab"[n % 2], created_us=9 - n) for n in range(5)]
        gone = a_key("gone", tenant="a", revoked_us=5, created_us=100)
        save(storage, added(*keys, gone, a_job("k1"), a_receipt("k1")))
        find, kind = self._find, RecordType.KEY
        mine = Query(where={"tenant": ("a",), "revoked": ("no",)}, sort="created_us")
        assert find(storage, kind, mine).records == [keys[4], keys[2], keys[0]]
        page = find(storage, kind, attrs.evolve(mine, limit=2))
        assert page.records == [keys[4], keys[2]]
        assert find(storage, kind, attrs.evolve(mine, after=page.next)).records == [keys[0]]
        late = Query(where={"name": ("n0", "n")}, since={"created_us": 9}, sort="name", descending=True)
        assert find(storage, kind, late).records == [keys[0], gone]
        assert load(storage, keys[1]) == keys[1]
        save(storage, changed((keys[0], next_version(keys[0], revoked_us=7)), (keys[2], None)))
        assert find(storage, kind, mine).records == [keys[4]]
        assert self._due(storage, kind, INT_MAX) == []

    def _find(self, storage: Storage, record_type: RecordType, query: Query) -> Page:
        with storage.read() as snapshot:
            return snapshot.find(record_type, query)
