"""The orders a store in memory keeps: ready jobs by rank, timers and ended jobs by time, open attempts by engine."""

from __future__ import annotations

from collections.abc import Sequence

from sortedcontainers import SortedDict, SortedList

from dispatch_core.kernel.scheduling.levels import length_octave, weight_units
from dispatch_core.ports.storage import Cell, OrderedId, OrderKey, rank_of
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.jobs import Bucket, Job, JobState
from dispatch_core.vocabulary.records import Record, RecordType


class Indexes:
    """Kept in step with the records by ``add`` and ``remove``, each O(log n)."""

    def __init__(self) -> None:
        self.ready: dict[Bucket, SortedDict[OrderKey, Job]] = {}
        self._due: dict[RecordType, SortedList[tuple[int, str]]] = {kind: SortedList() for kind in RecordType}
        self._open: dict[str, SortedDict[tuple[str, int], Attempt]] = {}
        self._settled: dict[tuple[JobState, bool], SortedList[OrderedId]] = {}
        self._campaigns: dict[tuple[str, str], dict[str, Job]] = {}

    def add(self, record_type: RecordType, record: Record) -> None:
        """Enter a record."""
        if record.due_us is not None:
            self._due[record_type].add((record.due_us, record.key))
        if isinstance(record, Job) and record.spec.campaign is not None:
            self._campaigns.setdefault((record.tenant, record.spec.campaign), {})[record.id] = record
        if isinstance(record, Job) and record.ready is not None:
            self.ready.setdefault(record.ready.bucket, SortedDict())[rank_of(record)] = record
        elif isinstance(record, Job) and record.state.terminal:
            self._settled.setdefault(_end_of(record), SortedList()).add((record.updated_us, record.id))
        elif isinstance(record, Attempt) and record.ended_us is None:
            mine = self._open.setdefault(record.engine_id, SortedDict())
            mine[(record.job_id, record.number)] = record

    def remove(self, record_type: RecordType, record: Record) -> None:
        """Strike a record that was entered."""
        if record.due_us is not None:
            self._due[record_type].remove((record.due_us, record.key))
        if isinstance(record, Job) and record.spec.campaign is not None:
            mates = self._campaigns[record.tenant, record.spec.campaign]
            del mates[record.id]
            if not mates:
                del self._campaigns[record.tenant, record.spec.campaign]
        if isinstance(record, Job) and record.ready is not None:
            bucket = record.ready.bucket
            del self.ready[bucket][rank_of(record)]
            if not self.ready[bucket]:
                del self.ready[bucket]
        elif isinstance(record, Job) and record.state.terminal:
            self._settled[_end_of(record)].remove((record.updated_us, record.id))
        elif isinstance(record, Attempt) and record.ended_us is None:
            mine = self._open[record.engine_id]
            del mine[(record.job_id, record.number)]
            if not mine:
                del self._open[record.engine_id]

    def head(self, bucket: Bucket, limit: int, after: OrderKey | None) -> Sequence[Job]:
        """The first jobs of a bucket, behind ``after`` if given."""
        jobs = self.ready.get(bucket)
        if jobs is None:
            return []
        start = 0 if after is None else jobs.bisect_right(after)
        return jobs.values()[start : start + limit]

    def due_keys(
        self, record_type: RecordType, before_us: int, limit: int, after_us: int | None
    ) -> Sequence[str]:
        """The keys of records due in (after_us, before_us], earliest first."""
        due = self._due[record_type]
        start = 0 if after_us is None else due.bisect_left((after_us + 1, ""))
        end = due.bisect_left((before_us + 1, ""))
        return [key for _, key in due[start : min(end, start + limit)]]

    def settled(
        self, state: JobState, before_us: int, limit: int, *, deleted: bool, after: OrderedId | None
    ) -> Sequence[OrderedId]:
        """Jobs that ended like this and have not changed since ``before_us``, longest first."""
        jobs = self._settled.get((state, deleted), SortedList())
        start = 0 if after is None else jobs.bisect_right(after)
        end = jobs.bisect_left((before_us + 1, ""))
        return list(jobs[start : min(end, start + limit)])

    def open_attempts(self, engine_id: str) -> Sequence[Attempt]:
        """The attempts of an engine that have not ended, by job and number."""
        return list(self._open.get(engine_id, SortedDict()).values())

    def backlog(self) -> list[Cell]:
        """Ready jobs by (lane, class_id), with Σ est_us."""
        return [
            Cell(bucket, len(jobs), sum(job.ready.est_us for job in jobs.values() if job.ready))
            for bucket, jobs in self.ready.items()
        ]

    def urgency(self) -> list[Cell]:
        """Ready jobs by (lane, weight in sixteenths, half octave of length), with Σ est_us."""
        counts: dict[tuple[str, ...], list[int]] = {}
        for jobs in self.ready.values():
            for ready in (job.ready for job in jobs.values() if job.ready):
                key = (ready.lane, str(weight_units(ready.weight)), str(length_octave(ready.est_us)))
                cell = counts.setdefault(key, [0, 0])
                cell[0] += 1
                cell[1] += ready.est_us
        return [Cell(key, count, total) for key, (count, total) in counts.items()]

    def progress(self, campaign: tuple[str, str]) -> list[Cell]:
        """The jobs of a (tenant, campaign) by state, with Σ est_us of the ready ones; no soft-deleted ones."""
        counts: dict[str, list[int]] = {}
        for job in self._campaigns.get(campaign, {}).values():
            if job.deleted_us is None:
                cell = counts.setdefault(job.state.value, [0, 0])
                cell[0] += 1
                cell[1] += job.ready.est_us if job.ready else 0
        return [Cell((state,), count, total) for state, (count, total) in counts.items()]


def _end_of(job: Job) -> tuple[JobState, bool]:
    return (job.state, job.deleted_us is not None)
