"""Checkers: independent judges of a store and of a grant. They use none of the code that decided."""

from __future__ import annotations

from collections import Counter

import attrs

from dispatch_core.kernel.evolve import evolve
from dispatch_core.kernel.invariants import broken_laws
from dispatch_core.ports.storage import Query, Storage, Tally, Transaction
from dispatch_core.shell.wire import event_from_plain
from dispatch_core.vocabulary.attempts import Attempt, Lease
from dispatch_core.vocabulary.engines import Profile
from dispatch_core.vocabulary.errors import InvariantError
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.records import RecordType

_PAGE = 1_000


def check_store(storage: Storage, give_backs_max: int = 16, accepted: set[str] | None = None) -> int:
    """Check every job of a store against every law; returns how many there are. Raises InvariantError.

    ``accepted`` are ids known to be acknowledged: each must be there.
    """
    with storage.read() as snapshot:
        jobs = all_jobs(snapshot)
        missing = (accepted or set()) - {job.id for job in jobs}
        broken = [f"acknowledged but not stored: {sorted(missing)}"] if missing else []
        for job in jobs:
            attempts = _attempts(snapshot, job)
            broken += broken_laws(job, attempts, give_backs_max)
            broken += _history_laws(snapshot, job)
        broken += _count_laws(snapshot, jobs)
    if broken:
        raise InvariantError("\n".join(broken))
    return len(jobs)


def all_jobs(snapshot: Transaction) -> list[Job]:
    """Every job, soft-deleted ones included."""
    jobs: list[Job] = []
    query: Query | None = Query(sort="created_us", limit=_PAGE)
    while query is not None:
        page = snapshot.find(RecordType.JOB, query)
        jobs += [record for record in page.records if isinstance(record, Job)]
        query = attrs.evolve(query, after=page.next) if page.next else None
    return jobs


def _attempts(snapshot: Transaction, job: Job) -> list[Attempt]:
    refs = [(RecordType.ATTEMPT, f"{job.id}/{number}") for number in range(1, job.last_attempt + 2)]
    return [record for record in snapshot.load(refs).values() if isinstance(record, Attempt)]


def _history_laws(snapshot: Transaction, job: Job) -> list[str]:
    """Gapless versions, times that never decrease, and a fold that gives the record."""
    rows = snapshot.history(of=(RecordType.JOB, job.id), limit=10_000)
    broken = []
    if [row.version for row in rows] != list(range(1, job.version + 1)):
        broken.append(f"{job.id}: versions {[row.version for row in rows]}, record at {job.version}")
    times = [row.at_us for row in rows]
    if times != sorted(times):
        broken.append(f"{job.id}: times go back")
    folded: Job | None = None
    for row in rows:
        folded = evolve(folded, event_from_plain(row.event, row.data), row.at_us)  # type: ignore[arg-type]  # a job's row
    if folded is None or attrs.evolve(folded, ready=job.ready) != job:
        broken.append(f"{job.id}: its history folds to {folded}, the record is {job}")
    return broken


def _count_laws(snapshot: Transaction, jobs: list[Job]) -> list[str]:
    """Accepted = every state + purged, by the counters and by the rows."""
    counted = {cell.keys: cell.count for cell in snapshot.tally(Tally.COUNTERS) if cell.count}
    rows = Counter((job.tenant, job.state.value) for job in jobs)
    rows.update(
        {(tenant, "accepted"): count for tenant, count in Counter(job.tenant for job in jobs).items()}
    )
    return [] if counted == dict(rows) else [f"counters say {counted}, the rows say {dict(rows)}"]


def check_grant(lease: Lease, profile: Profile) -> None:
    """A grant is one that a person with the engine's profile in hand would allow. Raises InvariantError."""
    job, facts = lease.job, profile.facts
    codecs = facts.get("codec", ())
    wrong = [
        job.held is not None and "it is on hold",
        job.pin is not None and job.pin.engine_id != lease.engine_id and "it is pinned elsewhere",
        job.spec.parameters.get("codec", "h264") not in (codecs if isinstance(codecs, tuple) else ())
        and "its codec",
        "streaming == true" in job.spec.requirements and facts.get("streaming") is not True and "streaming",
        "ffmpeg >= 6" in job.spec.requirements and _major(facts.get("ffmpeg")) < 6 and "its ffmpeg",
        "ffmpeg < 9" in job.spec.requirements and _major(facts.get("ffmpeg")) >= 9 and "its ffmpeg",
        (job.spec.size.size_bytes or 0) > (profile.size_bytes_max or 2**63) and "its size",
    ]
    if found := [str(each) for each in wrong if each]:
        raise InvariantError(f"{job.id} was granted to {lease.engine_id} against {', '.join(found)}")


def _major(version: object) -> int:
    return int(str(version or "0").split(".")[0])
