"""The first jobs of every bucket, kept in memory and written through, so that a claim reads next to nothing.

With one server it is exact. With several it may be behind: what it offers is re-read before it is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import merge

from sortedcontainers import SortedList

from dispatch_core.ports.storage import Change, Transaction
from dispatch_core.vocabulary.jobs import Bucket, Job, OrderKey, rank_of
from dispatch_core.vocabulary.records import RecordType

WINDOW = 16
"""Jobs read per bucket at a time; a window may grow to twice that by write-through."""
FEW, FIRST = 64, 4
"""Of more buckets than a few at once, as at a start, only so many first jobs are read: 3 k instead of 11 k for 700 buckets."""
CURSORS_MAX = 10_000


class Window:
    """The jobs of one bucket up to some rank; ``whole`` means there are no others."""

    __slots__ = ("jobs", "ranks", "whole")

    def __init__(self, jobs: Sequence[Job], *, whole: bool) -> None:
        self.jobs = {job.id: job for job in jobs}
        self.ranks: SortedList[OrderKey] = SortedList(rank_of(job) for job in jobs)
        self.whole = whole

    def add(self, job: Job) -> None:
        """A job that entered the bucket, if it is among the first."""
        self.discard(job)  # where servers share a store, it may stand here under an older rank
        rank = rank_of(job)
        if not self.whole and (not self.ranks or rank > self.ranks[-1]):
            return
        self.jobs[job.id] = job
        self.ranks.add(rank)
        if len(self.ranks) > 2 * WINDOW:
            self.whole = False
            del self.jobs[self.ranks.pop()[2]]

    def extend(self, jobs: Sequence[Job], *, whole: bool) -> None:
        """Jobs read from behind the window's end."""
        for job in jobs:
            self.discard(job)  # on a shared store it may stand here under an older rank
        self.jobs.update((job.id, job) for job in jobs)
        self.ranks.update(rank_of(job) for job in jobs)
        self.whole = whole

    def discard(self, job: Job) -> None:
        """A job that left the bucket."""
        if known := self.jobs.pop(job.id, None):
            self.ranks.discard(rank_of(known))


class Heads:
    """Windows by bucket. ``buckets`` are all that had ready jobs when last read, and those opened since."""

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._windows: dict[Bucket, Window | None] | None = None
        self._classes: Counter[str] = Counter()
        self._unread: dict[Bucket, None] = {}
        self._firsts: dict[Bucket, OrderKey] = {}
        self._order: SortedList[tuple[OrderKey, Bucket]] = SortedList()
        self._cursors: dict[tuple[str, Bucket], OrderKey] = {}

    def forget(self) -> None:
        """Read the store again at the next claim."""
        self._windows = None
        self._firsts.clear()
        self._order.clear()

    def doubt(self, buckets: Iterable[Bucket]) -> None:
        """Another server has put jobs into these: read their first ones again."""
        if self._windows is None:
            return
        for bucket in buckets:
            self._classes[bucket[1]] += bucket not in self._windows
            self._windows[bucket] = None
            self._unread[bucket] = None
            self._refresh(bucket)

    def _refresh(self, bucket: Bucket) -> None:
        """The bucket's window changed: so may its place among the buckets."""
        window = (self._windows or {}).get(bucket)
        first = window.ranks[0] if window is not None and window.ranks else None
        known = self._firsts.get(bucket)
        if first == known:
            return
        if known is not None:
            self._order.remove((known, bucket))
            del self._firsts[bucket]
        if first is not None:
            self._firsts[bucket] = first
            self._order.add((first, bucket))

    def in_order(self) -> Iterator[tuple[OrderKey, Bucket]]:
        """Every bucket that was read, the one with the first job of all first; good until the next change."""
        return iter(self._order)

    def unread(self, transaction: Transaction) -> Collection[Bucket]:
        """The buckets whose first jobs are not known."""
        if self._windows is None:
            self._windows = dict.fromkeys(transaction.buckets())
            self._classes = Counter(class_id for _, class_id in self._windows)
            self._unread = dict.fromkeys(self._windows)
        return self._unread.keys()

    def has_class(self, transaction: Transaction, class_id: str) -> bool:
        """Whether one of the buckets is of this class."""
        self.unread(transaction)
        return self._classes[class_id] > 0

    def _remove(self, bucket: Bucket) -> None:
        assert self._windows is not None
        del self._windows[bucket]
        self._classes[bucket[1]] -= 1
        if not self._classes[bucket[1]]:
            del self._classes[bucket[1]]

    def remember(self, changes: Sequence[Change]) -> None:
        """Take over committed jobs."""
        if self._windows is None:
            return
        for change in changes:
            if change.ref[0] is not RecordType.JOB:
                continue
            before, after = change.before, change.after
            if isinstance(before, Job) and before.ready is not None:
                self._leave(before)
            if isinstance(after, Job) and after.ready is not None:
                self._enter(after)

    def _leave(self, job: Job) -> None:
        assert self._windows is not None
        assert job.ready is not None
        window = self._windows.get(job.ready.bucket)
        if window is not None:
            window.discard(job)
            if not window.ranks:
                self._drop(job.ready.bucket, window)
            self._refresh(job.ready.bucket)

    def _drop(self, bucket: Bucket, window: Window) -> None:
        assert self._windows is not None
        if window.whole:
            self._remove(bucket)
        else:
            self._windows[bucket] = None  # there may be more behind: read at the next claim
            self._unread[bucket] = None

    def _enter(self, job: Job) -> None:
        assert self._windows is not None
        assert job.ready is not None
        if job.ready.bucket not in self._windows:
            self._windows[job.ready.bucket] = Window([], whole=True)
            self._classes[job.ready.class_id] += 1
        window = self._windows[job.ready.bucket]
        if window is not None:
            window.add(job)
            if not window.ranks:
                self._drop(job.ready.bucket, window)
            self._refresh(job.ready.bucket)

    def waiting_for(self, tenant: str, name: str, limit: int) -> Iterator[Job]:
        """The first jobs known that may wait for something scarce (see ``JobSpec.scarce``), at most ``limit`` of
        each class; nothing is read for it.
        """
        for window in (self._windows or {}).values():
            if window is None or not window.ranks:
                continue
            first = window.jobs[window.ranks[0][2]]
            if first.tenant == tenant and name in first.spec.scarce:  # a class waits for the same
                yield from (window.jobs[rank[2]] for rank in window.ranks[:limit])

    def ahead(self, tenant: str) -> Iterator[Job]:
        """The first job known of each of a tenant's buckets; those behind it, too, where accounts differ."""
        for window in (self._windows or {}).values():
            if window is None or not window.ranks:
                continue
            first = window.jobs[window.ranks[0][2]]
            if first.tenant == tenant:
                yield from (first,) if first.spec.account is None else window.jobs.values()

    def firsts(self) -> Mapping[Bucket, Job]:
        """The first job of every bucket that was read; may be asked beside the writer."""
        windows = self._windows
        found: dict[Bucket, Job] = {}
        for bucket, rank in self._firsts.copy().items():
            window = None if windows is None else windows.get(bucket)
            job = None if window is None else window.jobs.get(rank[2])
            if job is not None:
                found[bucket] = job
        return found

    def first(self, bucket: Bucket, rank: OrderKey) -> Job:
        """The first job of a bucket named by ``in_order``."""
        window = (self._windows or {})[bucket]
        assert window is not None
        return window.jobs[rank[2]]

    def buckets(self, transaction: Transaction) -> Collection[Bucket]:
        """Every bucket that has ready jobs as far as is known."""
        self.unread(transaction)
        assert self._windows is not None
        return self._windows.keys()

    def warm(self, transaction: Transaction, buckets: Collection[Bucket]) -> None:
        """Read the windows that are missing, all at once."""
        assert self._windows is not None
        missing = [bucket for bucket in buckets if bucket in self._windows and self._windows[bucket] is None]
        if not missing:
            return
        window = WINDOW if len(missing) <= FEW else FIRST
        found = transaction.heads(missing, window)
        for bucket in missing:
            self._unread.pop(bucket, None)
            jobs = found.get(bucket, ())
            if jobs:
                self._windows[bucket] = Window(jobs, whole=len(jobs) < window)
            else:
                self._remove(bucket)
            self._refresh(bucket)

    def run(
        self,
        transaction: Transaction,
        bucket: Bucket,
        overlay: Mapping[str, Job | None],
        added: Sequence[Job],
        reader: str,
    ) -> Iterator[Job]:
        """A bucket's jobs in rank order as this batch sees them.

        ``overlay`` names the jobs the batch has changed (whatever they became); ``added`` are those of
        them that are ready in this bucket now. ``reader`` is the engine and its version: one that fits
        none of the first jobs goes on at its next claim where it stopped, ``rows_max`` rows at a time.
        """
        stored = self._stored(transaction, bucket, overlay, reader)
        rows = (job for job in stored if job.id not in overlay)
        if not added:
            yield from rows
            return
        fresh = ((rank_of(job), job) for job in sorted(added, key=rank_of))
        ranked = ((rank_of(job), job) for job in rows)
        for _, job in merge(ranked, fresh, key=lambda pair: pair[0]):
            yield job

    def _stored(
        self, transaction: Transaction, bucket: Bucket, overlay: Mapping[str, Job | None], reader: str
    ) -> Iterator[Job]:
        window = (self._windows or {}).get(bucket)
        if window is None:
            return
        shown = list(window.ranks)
        yield from (window.jobs[rank[2]] for rank in shown)
        if window.whole or not shown:
            return
        if all(rank[2] in overlay for rank in shown):  # this batch has taken them: the window moves on
            further = self._read_behind(transaction, bucket, shown[-1])
            window.extend(further, whole=len(further) < self._rows_max)
            yield from further
            return
        after = max(self._cursors.get((reader, bucket), shown[-1]), shown[-1])
        further = self._read_behind(transaction, bucket, after)
        yield from further
        self._stopped(reader, bucket, further)  # reached only if nothing fitted

    def _read_behind(self, transaction: Transaction, bucket: Bucket, after: OrderKey) -> Sequence[Job]:
        return transaction.heads([bucket], self._rows_max, {bucket: after}).get(bucket, ())

    def _stopped(self, reader: str, bucket: Bucket, seen: Sequence[Job]) -> None:
        if len(seen) < self._rows_max:
            self._cursors.pop((reader, bucket), None)  # the end: begin again
            return
        if len(self._cursors) >= CURSORS_MAX:
            self._cursors.clear()
        self._cursors[reader, bucket] = rank_of(seen[-1])
