"""One batch's view of the store: what was read, what the batch has made of it, and the change set.

Everything a decision rests on passes through here, so that it is either written or was loaded with a lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from heapq import merge
from itertools import islice
from types import MappingProxyType

import attrs

from dispatch_core.kernel.denials import evolve_denials
from dispatch_core.kernel.evolve import evolve, evolve_attempt
from dispatch_core.kernel.fleet import evolve_engine
from dispatch_core.kernel.keys import evolve_key
from dispatch_core.kernel.limits import evolve_limit
from dispatch_core.kernel.pools import evolve_pool
from dispatch_core.kernel.scheduling.matcher import Front
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.kernel.terms import Decision
from dispatch_core.kernel.windows import evolve_window
from dispatch_core.ports.storage import Change, ChangeSet, Recorded, Tally, Transaction
from dispatch_core.shell.counting import Counters, count_purge, count_step
from dispatch_core.shell.house import House
from dispatch_core.shell.limitview import Held
from dispatch_core.shell.poolview import Running
from dispatch_core.shell.wire import event_to_plain
from dispatch_core.vocabulary.attempts import Attempt, attempt_key
from dispatch_core.vocabulary.changing import changed
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.denials import AccessDenied, DenialTrail
from dispatch_core.vocabulary.engines import Engine, EnginePulse
from dispatch_core.vocabulary.errors import InvariantError, UnknownJobError
from dispatch_core.vocabulary.events import (
    EngineEvent,
    Event,
    JobEvent,
    JobGranted,
    JobPurged,
    JobSubmitted,
    KeyEvent,
    event_name,
)
from dispatch_core.vocabulary.jobs import Bucket, Job, rank_of
from dispatch_core.vocabulary.keys import Key
from dispatch_core.vocabulary.limits import Limit, LimitDeleted, LimitEvent, limit_id
from dispatch_core.vocabulary.pools import Pool, PoolDeleted, PoolEvent, pool_key
from dispatch_core.vocabulary.records import Receipt, Record, RecordType, Ref, ref_of
from dispatch_core.vocabulary.windows import Window, WindowEnded, WindowEvent

EMPTY: Mapping[str, Job | None] = MappingProxyType({})


def attempt_refs(job: Job) -> list[Ref]:
    """The names of all attempts of a job."""
    return [(RecordType.ATTEMPT, attempt_key(job.id, number)) for number in range(1, job.last_attempt + 1)]


class Workspace:
    """The overlay of one batch. Reads see what earlier commands of the batch decided.

    Where servers share the store, jobs are granted as memory knows them: ``hoped`` are those that have to be
    taken, all at once, before anything is written, and ``doubted`` those that were offered in error. ``settled``
    are those of a round before: as they were taken, or None for those that others have.
    """

    def __init__(
        self,
        transaction: Transaction,
        house: House,
        *,
        lock: bool = False,
        settled: Mapping[str, Job | None] = EMPTY,
    ) -> None:
        self.transaction = transaction
        self.house = house
        self.now = transaction.now()
        house.fleet.begin(self.now)
        self.terms = house.terms()
        self._lock = lock
        self._read: dict[Ref, Record | None] = {}
        self._current: dict[Ref, Record | None] = {}
        self._open: dict[str, set[str]] = {}
        self._ready: dict[Bucket, dict[str, Job]] = {}
        self._firsts: dict[Bucket, Job | None] = {}
        self._stale: dict[Bucket, None] = {}
        self._jobs: dict[str, Job | None] = {}
        self.running = Running(transaction, self._jobs)
        self.held: dict[str, Held] = {}
        self.recent: dict[str, Mapping[str, Attempt]] = {}
        self._history: list[Recorded] = []
        self._forgotten: list[Ref] = []
        self._counters: Counters = defaultdict(int)
        self.hoped: dict[str, Job] = {}
        self.doubted: list[Job] = []
        for job_id, job in settled.items():
            if job is None:
                self._jobs[job_id] = None
            else:
                self.adopt(job)

    # ----- reading

    def load(self, refs: Collection[Ref], *, lock: bool = False) -> None:
        """Read what is not known yet, in one pass."""
        missing = [ref for ref in dict.fromkeys(refs) if ref not in self._read]
        if not missing:
            return
        found = self.transaction.load(missing, lock=lock or self._lock)
        for ref in missing:
            self._read[ref] = self._current[ref] = found.get(ref)

    def load_open(self, engine_ids: Collection[str]) -> None:
        """Read which attempts these engines have open, in one pass."""
        missing = [engine_id for engine_id in dict.fromkeys(engine_ids) if engine_id not in self._open]
        if not missing:
            return
        found = self.transaction.open_attempts(missing)
        self._open.update({engine_id: set() for engine_id in missing})
        for attempts in found.values():
            for attempt in attempts:
                self.adopt(attempt)
        for record in self._current.values():
            if isinstance(record, Attempt) and record.engine_id in missing and record.ended_us is None:
                self._open[record.engine_id].add(record.key)

    def adopt(self, record: Record) -> None:
        """Take in a record just read by another way than ``load``; what the batch knows already stays."""
        if ref_of(record) not in self._read:
            self._read[ref_of(record)] = self._current[ref_of(record)] = record

    def knows(self, ref: Ref) -> bool:
        """Whether this batch has read or made such a record; the store is not asked."""
        return self._current.get(ref) is not None

    def get(self, ref: Ref) -> Record | None:
        """A record as this batch sees it."""
        if ref not in self._current:
            self.load([ref])
        return self._current[ref]

    def job(self, job_id: str, context: Context) -> Job:
        """A job of the caller's tenant: the only tenant check. Raises UnknownJobError."""
        found = self.get((RecordType.JOB, job_id))
        if not isinstance(found, Job) or found.tenant != context.tenant:
            raise UnknownJobError(f"there is no job {job_id}")
        return found

    def attempt(self, job_id: str, number: int | None) -> Attempt | None:
        """An attempt by number."""
        if number is None:
            return None
        found = self.get((RecordType.ATTEMPT, attempt_key(job_id, number)))
        return found if isinstance(found, Attempt) else None

    def engine(self, engine_id: str, context: Context) -> Engine | None:
        """An engine of the caller's tenant."""
        found = self.get((RecordType.ENGINE, engine_id))
        return found if isinstance(found, Engine) and found.tenant == context.tenant else None

    def pulse(self, engine_id: str) -> EnginePulse | None:
        """An engine's last sign of life."""
        found = self.get((RecordType.PULSE, engine_id))
        return found if isinstance(found, EnginePulse) else None

    def receipt(self, key: str) -> Receipt | None:
        """A remembered answer."""
        found = self.get((RecordType.RECEIPT, key))
        return found if isinstance(found, Receipt) else None

    def pool(self, pool_id: str, context: Context) -> Pool | None:
        """A pool of the caller's tenant."""
        found = self.get((RecordType.POOL, pool_key(context.tenant, pool_id)))
        return found if isinstance(found, Pool) else None

    def limit(self, key: str, context: Context) -> Limit | None:
        """A limit of the caller's tenant."""
        found = self.get((RecordType.LIMIT, limit_id(context.tenant, key)))
        return found if isinstance(found, Limit) else None

    def counted(self, tenant: str, names: Collection[str]) -> int:
        """The sum of counters, this batch included; whoever rests on it has locked something before."""
        stored = {cell.keys: cell.count for cell in self.transaction.tally(Tally.COUNTERS)}
        return sum(stored.get((tenant, name), 0) + self._counters[tenant, name] for name in names)

    def lock_again(self, refs: Collection[Ref]) -> None:
        """Read with locks what may have been read without; what the batch has changed stays changed."""
        found = self.transaction.load(refs, lock=True)
        for ref in refs:
            if self._current.get(ref) is self._read.get(ref):
                self._read[ref] = self._current[ref] = found.get(ref)

    def open_count(self, engine_id: str) -> int:
        """How many attempts an engine has open, as this batch sees it."""
        self.load_open([engine_id])
        return len(self._open[engine_id])

    def open_attempts(self, engine_id: str) -> list[Attempt]:
        """An engine's open attempts, oldest grant first, as this batch sees them."""
        self.load_open([engine_id])
        found = [self.get((RecordType.ATTEMPT, key)) for key in self._open[engine_id]]
        attempts = [attempt for attempt in found if isinstance(attempt, Attempt)]
        return sorted(attempts, key=lambda attempt: (attempt.granted_us, attempt.key))

    def records(self) -> Iterator[Record]:
        """Every record this batch has read or made, as it sees them."""
        return (each for each in self._current.values() if each is not None)

    def buckets(self) -> Iterator[Bucket]:
        """Where jobs wait, and where this batch has let some wait; those of both come twice."""
        yield from self.house.heads.buckets(self.transaction)
        yield from (bucket for bucket, jobs in self._ready.items() if jobs)

    def class_waits(self, class_id: str) -> bool:
        """Whether jobs of a class are known to wait, without a look at every bucket."""
        if self.house.heads.has_class(self.transaction, class_id):
            return True
        return any(bucket[1] == class_id and jobs for bucket, jobs in self._ready.items())

    @property
    def outlook(self) -> Outlook:
        """What is queued and running where, this batch included."""
        return self.house.fleet.outlook(self.transaction)

    def fronts(self, serves: Callable[[str], bool], reader: str) -> Iterator[Front]:
        """The buckets of the lanes served, in the order of their first jobs, this batch's own changes included.

        ``reader`` names who asks: the engine and its version.
        """
        heads = self.house.heads
        heads.warm(self.transaction, [each for each in heads.unread(self.transaction) if serves(each[0])])
        for bucket in [each for each in self._stale if serves(each[0])]:  # the others may not be read yet
            self._firsts[bucket] = next(self._run(bucket, reader), None)
            del self._stale[bucket]
        changed = sorted((rank_of(job), bucket) for bucket, job in self._firsts.items() if job is not None)
        unchanged = (each for each in heads.in_order() if each[1] not in self._firsts)
        for rank, bucket in merge(unchanged, changed) if changed else unchanged:
            if serves(bucket[0]):
                first = self._firsts.get(bucket) or heads.first(bucket, rank)
                yield rank, bucket, first, partial(self._behind, bucket, reader)

    def _behind(self, bucket: Bucket, reader: str) -> Iterator[Job]:
        return islice(self._run(bucket, reader), 1, None)

    def _run(self, bucket: Bucket, reader: str) -> Iterator[Job]:
        added = list(self._ready.get(bucket, {}).values())
        return self.house.heads.run(self.transaction, bucket, self._jobs, added, reader)

    def hope_for(self, job: Job) -> None:
        """Decide on a job as memory knows it; where servers share the store, it is taken before it is written.

        Memory may offer a job otherwise than the batch has read it (for a report, say), or twice, where it stood and
        where it stands: that is an error to be found out before anything is written, too.
        """
        ref = (RecordType.JOB, job.id)
        if self.house.storage.traits.shared and self._current.get(ref) != job:
            if ref in self._read:
                self.doubted.append(job)
            else:
                self.hoped[job.id] = job
        self.adopt(job)

    # ----- writing

    def put(self, record: Record) -> None:
        """Write a record at the end of the batch."""
        ref = ref_of(record)
        if ref not in self._read:
            self._read[ref] = None
        self._current[ref] = record
        if isinstance(record, Attempt):
            opened = self._open.get(record.engine_id)
            if opened is not None:
                (opened.add if record.ended_us is None else opened.discard)(ref[1])
            self.house.fleet.attempted(record)

    def drop(self, ref: Ref) -> None:
        """Remove a record at the end of the batch."""
        self._current[ref] = None

    def decided(self, job: Job, decision: Decision, context: Context) -> Job:
        """Carry out what the kernel decided about a job."""
        if decision.pulse is not None:
            self.put(decision.pulse)
        for event in decision.events:
            job = self.happened(job, event, context)
        return job

    def happened(
        self, job: Job | None, event: JobEvent, context: Context, *, at_us: int | None = None
    ) -> Job:
        """A fact about a job: its record, its attempt, one history row, the counters, its place."""
        after = evolve(job, event, self.now if at_us is None else at_us)
        if job is not None:
            # A grant's attempt is not there yet: to look for it would cost a statement per grant.
            number = None if isinstance(event, JobGranted) else getattr(event, "attempt", None)
            attempt = evolve_attempt(job, self.attempt(job.id, number), event, after.updated_us)
            if attempt is not None:
                self.put(attempt)
        count_step(self._counters, job, after)
        self._record((RecordType.JOB, after.id), after, event, context)
        ready = self.house.place(after, self.transaction, self.now, fresh=isinstance(event, JobSubmitted))
        if ready is not after.ready and ready != after.ready:
            after = changed(after, ready=ready)
        self._set_job(job, after)
        return after

    def _set_job(self, before: Job | None, after: Job) -> None:
        if before is not None and before.ready is not None:
            self._ready.get(before.ready.bucket, {}).pop(before.id, None)
            self._stale[before.ready.bucket] = None
        if after.ready is not None:
            self._ready.setdefault(after.ready.bucket, {})[after.id] = after
            self._stale[after.ready.bucket] = None
        self.house.fleet.moved(before.ready if before else None, after.ready)
        self._jobs[after.id] = after
        self.put(after)

    def placed(self, job: Job) -> bool:
        """Give a job the place that the policy gives it now. No fact, no version; whether it moved."""
        ready = self.house.place(job, self.transaction, self.now)
        if ready != job.ready:
            self._set_job(job, changed(job, ready=ready))
        return ready != job.ready

    def job_purged(self, job: Job, event: JobPurged, context: Context) -> None:
        """A job leaves with its attempts and its history; one row says so, and the counters keep it."""
        ref = (RecordType.JOB, job.id)
        count_purge(self._counters, job)
        for each in attempt_refs(job):
            self.drop(each)
        self.forget(ref)
        last = attrs.evolve(job, version=job.version + 1, updated_us=max(self.now, job.updated_us))
        self._record(ref, last, event, context)

    def forget(self, ref: Ref) -> None:
        """A record leaves with its history."""
        self.drop(ref)
        self._forgotten.append(ref)
        self._history = [row for row in self._history if row.ref != ref]

    def denied(
        self, trail: DenialTrail | None, tenant: str, event: AccessDenied, context: Context
    ) -> DenialTrail:
        """Somebody was refused something."""
        after = evolve_denials(trail, tenant, event, self.now)
        self._record(ref_of(after), after, event, context)
        self.put(after)
        return after

    def engine_happened(self, engine: Engine | None, event: EngineEvent, context: Context) -> Engine:
        """A fact about an engine."""
        after = evolve_engine(engine, event, self.now)
        self._record((RecordType.ENGINE, after.id), after, event, context)
        self.put(after)
        return after

    def key_happened(self, key: Key | None, event: KeyEvent, context: Context, digest: str | None) -> Key:
        """A fact about a key, and the digest that does not enter history."""
        after = evolve_key(key, event, self.now, digest)
        self._record((RecordType.KEY, after.id), after, event, context)
        self.put(after)
        return after

    def pool_happened(self, pool: Pool | None, event: PoolEvent, context: Context) -> Pool:
        """A fact about a pool; the last one removes it."""
        after = evolve_pool(pool, event, self.now)
        self._told(after, event, context, last=isinstance(event, PoolDeleted))
        return after

    def limit_happened(self, limit: Limit | None, event: LimitEvent, context: Context) -> Limit:
        """A fact about a limit; the last one removes it, and the next batch to claim counts anew."""
        after = evolve_limit(limit, event, self.now)
        self._told(after, event, context, last=isinstance(event, LimitDeleted))
        return after

    def window_happened(self, window: Window | None, event: WindowEvent, context: Context) -> Window:
        """A fact about a maintenance window; the last one removes it."""
        after = evolve_window(window, event, self.now)
        self._told(after, event, context, last=isinstance(event, WindowEnded))
        return after

    def _told(self, after: Pool | Limit | Window, event: Event, context: Context, *, last: bool) -> None:
        self._record(ref_of(after), after, event, context)
        self.put(after)
        if last:
            self.drop(ref_of(after))

    def _record(
        self,
        ref: Ref,
        after: Job | Engine | Key | Pool | Window | Limit | DenialTrail,
        event: Event,
        context: Context,
    ) -> None:
        row = Recorded(
            ref=ref,
            tenant=after.tenant,
            version=after.version,
            at_us=after.updated_us,
            actor=context.actor,
            event=event_name(event),
            data=event_to_plain(event),
            request_id=context.request_id,
        )
        self._history.append(row)

    @property
    def history(self) -> Sequence[Recorded]:
        """The facts of this batch so far."""
        return self._history

    def _check_versions(self, changes: Sequence[Change]) -> None:
        """Each fact makes one version: a job decided on as it was not read would be written over another's grant."""
        facts: dict[Ref, int] = {}
        for row in self._history:
            facts[row.ref] = facts.get(row.ref, 0) + 1
        for change in changes:
            if change.ref[0] is RecordType.JOB and isinstance(change.after, Job):
                read = change.before.version if isinstance(change.before, Job) else 0
                if change.after.version != read + facts.get(change.ref, 0):
                    raise InvariantError(f"{change.after.id} was decided on as it was not read")

    def change_set(self) -> ChangeSet:
        """All writes of the batch."""
        changes = [
            Change(ref, self._read[ref], record)
            for ref, record in self._current.items()
            if record is not self._read[ref]
        ]
        self._check_versions(changes)
        counters = {key: count for key, count in self._counters.items() if count}
        wake = frozenset(bucket for bucket, jobs in self._ready.items() if jobs)
        return ChangeSet(
            changes=changes,
            history=self._history,
            counters=counters,
            wake=wake,
            forgotten=self._forgotten,
        )
