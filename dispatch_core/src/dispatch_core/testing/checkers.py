"""Checkers: independent judges of a store and of a grant. They use none of the code that decided."""

from __future__ import annotations

from collections import Counter

import attrs

from dispatch_core.kernel.invariants import Fact, broken_counts, broken_history, broken_laws
from dispatch_core.ports.storage import Query, Storage, Tally, Transaction
from dispatch_core.shell.wire import event_from_plain
from dispatch_core.vocabulary.attempts import Attempt, Lease
from dispatch_core.vocabulary.engines import Profile
from dispatch_core.vocabulary.errors import InvariantError
from dispatch_core.vocabulary.jobs import Job, JobState
from dispatch_core.vocabulary.limits import Limit, waiting_of
from dispatch_core.vocabulary.records import RecordType

_PAGE = 1_000


def check_store(storage: Storage, give_backs_max: int = 16, accepted: set[str] | None = None) -> int:
    """Check every job of a store against every law; returns how many there are. Raises InvariantError.

    ``accepted`` are ids known to be acknowledged: each must be there.
    """
    with storage.read() as snapshot:
        jobs = all_jobs(snapshot)
        purged = {job_id for _, job_id in purged_jobs(snapshot)} if accepted else set()
        missing = (accepted or set()) - {job.id for job in jobs} - purged
        broken = [f"acknowledged but not stored: {sorted(missing)}"] if missing else []
        for job in jobs:
            attempts = _attempts(snapshot, job)
            broken += broken_laws(job, attempts, give_backs_max)
            broken += _history_laws(snapshot, job, attempts)
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


def _history_laws(snapshot: Transaction, job: Job, attempts: list[Attempt]) -> list[str]:
    """Gapless versions, times that never decrease, and a fold that gives the record."""
    rows = snapshot.history(of=(RecordType.JOB, job.id), limit=10_000)
    facts = [Fact(row.version, row.at_us, event_from_plain(row.event, row.data)) for row in rows]
    return list(broken_history(job, attempts, facts))


def _count_laws(snapshot: Transaction, jobs: list[Job]) -> list[str]:
    """Accepted = every state + purged, by the counters and by the rows."""
    counted = {cell.keys: cell.count for cell in snapshot.tally(Tally.COUNTERS)}
    rows = Counter((job.tenant, job.state.value) for job in jobs)
    for tenant, _ in purged_jobs(snapshot):
        rows[tenant, "purged"] += 1
        rows[tenant, "accepted"] += 1
    rows.update((job.tenant, "accepted") for job in jobs)
    accounts = ((job.tenant, job.spec.account) for job in jobs if job.waits and job.spec.account is not None)
    rows.update((tenant, waiting_of(account)) for tenant, account in accounts)
    return list(broken_counts(counted, rows))  # type: ignore[arg-type]  # a cell of counters has two keys


def purged_jobs(snapshot: Transaction) -> list[tuple[str, str]]:
    """The (tenant, id) of every job that was purged, from the rows that are left of them."""
    found: list[tuple[str, str]] = []
    rows = snapshot.history(limit=_PAGE)
    while rows:
        found += [(row.tenant, row.ref[1]) for row in rows if row.event == "job-purged"]
        rows = snapshot.history(after=(rows[-1].tx, rows[-1].n), limit=_PAGE)
    return found


def check_grant(lease: Lease, profile: Profile) -> None:
    """A grant is one that a person with the engine's profile in hand would allow. Raises InvariantError.

    Of a transcode it judges the requirements that ``strategies`` draws; of other kinds what all kinds have.
    """
    job = lease.job
    wrong = [
        job.held is not None and "it is on hold",
        job.pin is not None and job.pin.engine_id != lease.engine_id and "it is pinned elsewhere",
        job.spec.kind not in profile.kinds and "its kind",
        (job.spec.size.size_bytes or 0) > (profile.size_bytes_max or 2**63) and "its size",
        *(_transcode_wrongs(job, profile) if job.spec.kind == "transcode" else ()),
    ]
    if found := [str(each) for each in wrong if each]:
        raise InvariantError(f"{job.id} was granted to {lease.engine_id} against {', '.join(found)}")


def _transcode_wrongs(job: Job, profile: Profile) -> list[str | bool]:
    facts, terms = profile.facts, job.spec.requirements
    codecs = facts.get("codec", ())
    return [
        job.spec.parameters.get("codec", "h264") not in (codecs if isinstance(codecs, tuple) else ())
        and "its codec",
        "streaming == true" in terms and facts.get("streaming") is not True and "streaming",
        "ffmpeg >= 6" in terms and _major(facts.get("ffmpeg")) < 6 and "its ffmpeg",
        "ffmpeg < 9" in terms and _major(facts.get("ffmpeg")) >= 9 and "its ffmpeg",
    ]


def check_limits(lease: Lease, storage: Storage) -> None:
    """No grant takes more at a time of a limit than there is. Raises InvariantError.

    Counted from the store, where the grant is the last thing that happened. A lease that had ended and showed
    life again may fill a limit beyond its capacity; a grant never does.
    """
    with storage.read() as snapshot:
        running = [job for job in all_jobs(snapshot) if job.state is JobState.ASSIGNED]
        refs = [(RecordType.LIMIT, f"{lease.job.tenant}/{use.key}") for use in lease.job.spec.limits]
        limits = [each for each in snapshot.load(refs).values() if isinstance(each, Limit)]
    for limit in limits:
        counted = (job for job in running if limit.spec.per == "fleet" or job.engine_id == lease.engine_id)
        in_use = sum(use.units for job in counted for use in job.spec.limits if use.key == limit.name)
        if in_use > (2**63 if limit.spec.capacity is None else limit.spec.capacity):
            raise InvariantError(f"{lease.job.id}: {in_use} of {limit.spec.capacity} {limit.name} are in use")


def _major(version: object) -> int:
    return int(str(version or "0").split(".")[0])
