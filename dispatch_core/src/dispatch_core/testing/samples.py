"""What to test stores with: records of every type, bare and full, and short words for saving and loading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from dispatch_core.ports.storage import Change, ChangeSet, Recorded, Storage
from dispatch_core.vocabulary.attempts import Attempt, Outcome, Progress
from dispatch_core.vocabulary.bounds import INT_MAX
from dispatch_core.vocabulary.denials import DenialTrail
from dispatch_core.vocabulary.engines import (
    Benchmark,
    Engine,
    EnginePulse,
    Profile,
    Quarantine,
    Seen,
    Wanted,
    WantedState,
)
from dispatch_core.vocabulary.jobs import (
    Bucket,
    FailedOn,
    Job,
    JobError,
    JobSize,
    JobSpec,
    JobState,
    LadderStep,
    LimitUse,
    Pin,
    Ready,
    Retry,
    Timeouts,
    Wish,
)
from dispatch_core.vocabulary.keys import Key
from dispatch_core.vocabulary.limits import Ledger, Limit, LimitScope, LimitSpec
from dispatch_core.vocabulary.pools import Pool, PoolSpec
from dispatch_core.vocabulary.records import Receipt, Record, receipt_id, ref_of
from dispatch_core.vocabulary.scopes import Scope
from dispatch_core.vocabulary.windows import Window

NASTY_TEXT = "Zoë 🎞️ \u202e \"quoted\" 'single' % _ \\ \n\t\x7f \U0010ffff"
BUCKET: Bucket = ("open", "class-a")


def a_job(key: str = "job-1", **fields: Any) -> Job:
    """A pending job that is not ready, unless told otherwise."""
    usual: dict[str, Any] = {
        "id": key, "tenant": "default", "version": 1, "spec": JobSpec(), "state": JobState.PENDING,
        "created_us": 1_000, "updated_us": 1_000,
    }  # fmt: skip
    return Job(**{**usual, **fields})


def a_ready_job(
    key: str, order_key: int = 0, *, bucket: Bucket = BUCKET, band: int = 0, **fields: Any
) -> Job:
    """A job in the ready order."""
    place = Ready(*bucket, band=band, order_key=order_key, est_us=10, weight=1.5)
    return a_job(key, ready=place, **fields)


def an_attempt(job_id: str = "job-1", number: int = 1, **fields: Any) -> Attempt:
    """An open attempt."""
    usual: dict[str, Any] = {
        "job_id": job_id, "number": number, "tenant": "default", "version": 1, "generation": 1,
        "incarnation": "inc", "engine_id": "engine-1", "session": "s", "granted_us": 5,
        "deadline_us": 100, "progress_at_us": 5,
    }  # fmt: skip
    return Attempt(**{**usual, **fields})


def an_engine(key: str = "engine-1", **fields: Any) -> Engine:
    """A live engine."""
    usual: dict[str, Any] = {
        "id": key, "tenant": "default", "version": 1, "profile": Profile(), "session": "s", "seen": Seen.LIVE,
        "wanted": Wanted(), "registered_us": 1, "updated_us": 2,
    }  # fmt: skip
    return Engine(**{**usual, **fields})


def a_pulse(key: str = "engine-1", **fields: Any) -> EnginePulse:
    """A sign of life."""
    usual: dict[str, Any] = {"tenant": "default", "version": 1, "seen_us": 7, "due_us": 70}
    return EnginePulse(**{"engine_id": key, **usual, **fields})


def a_receipt(key: str = "k", **fields: Any) -> Receipt:
    """A remembered answer."""
    usual: dict[str, Any] = {
        "tenant": "default",
        "version": 1,
        "fingerprint": "f",
        "answer": {},
        "job_id": None,
    }
    return Receipt(**{"key": receipt_id("default", key), "due_us": None, **usual, **fields})


def a_key(key: str = "key-1", **fields: Any) -> Key:
    """A good key."""
    usual: dict[str, Any] = {
        "tenant": "default", "version": 1, "name": "n", "scopes": (Scope.SUBMITTER,), "digest": "0" * 64,
        "created_us": 3, "updated_us": 3,
    }  # fmt: skip
    return Key(**{"id": key, **usual, **fields})


def a_pool(key: str = "pool-1", **fields: Any) -> Pool:
    """A storage pool."""
    usual: dict[str, Any] = {
        "tenant": "default", "version": 1, "spec": PoolSpec(capacity_bytes=100), "created_us": 4, "updated_us": 4,
    }  # fmt: skip
    return Pool(**{"id": key, **usual, **fields})


def a_limit(name: str = "licence", **fields: Any) -> Limit:
    """A limit of one at a time."""
    usual: dict[str, Any] = {
        "tenant": "default", "version": 1, "spec": LimitSpec(capacity=1), "created_us": 4, "updated_us": 4,
    }  # fmt: skip
    return Limit(**{"name": name, **usual, **fields})


def a_ledger(key: str = "default/licence/", **fields: Any) -> Ledger:
    """A token bucket."""
    usual: dict[str, Any] = {
        "tenant": "default",
        "limit": "licence",
        "version": 1,
        "tokens": 0,
        "refilled_us": 7,
    }
    return Ledger(**{"id": key, **usual, **fields})


def a_window(key: str = "window-1", **fields: Any) -> Window:
    """A maintenance window."""
    usual: dict[str, Any] = {
        "tenant": "default", "version": 1, "engine_id": None, "from_us": 1, "until_us": 2, "reason": "", "actor": "a",
        "updated_us": 0,
    }  # fmt: skip
    return Window(**{"id": key, **usual, **fields})


def a_trail(**fields: Any) -> DenialTrail:
    """A day's denied attempts."""
    usual: dict[str, Any] = {"tenant": "default", "version": 1, "day": 3, "attempts": 4, "updated_us": 5}
    return DenialTrail(**{**usual, **fields})


def a_row(record: Record, event: str = "happened", **fields: Any) -> Recorded:
    """A history row about a record."""
    usual: dict[str, Any] = {"version": record.version, "at_us": 9, "actor": "local", "data": {}}
    return Recorded(**{"ref": ref_of(record), "tenant": record.tenant, "event": event, **usual, **fields})


_ERROR = JobError(failure_class="engine", message=NASTY_TEXT, detail="d" * 5_000, retryable=False)
_JSON = {"text": NASTY_TEXT, "deep": {"list": [1, -1.5, True, None, {"": []}]}, "large": ["x" * 100] * 2_000}
_FULL_SPEC = JobSpec(
    campaign="spring \u00e9dition",
    kind="other", parameters=_JSON, priority=-100, requirements=("encoder has libx265", "ffmpeg >= 6.1"),
    ladder=(LadderStep(after_s=1.5, requirements=(), parameters={"deep": None}), LadderStep(after_s=2, parameters=_JSON)),
    size=JobSize(size_bytes=INT_MAX, duration_us=0, width=1, height=2, frames=3),
    retry=Retry(max_attempts=100, first_delay_s=0.1, factor=1.5, delay_max_s=1e-9),
    timeouts=Timeouts(queue_s=1.5, run_s=2.5, no_progress_s=3.5), limits=(LimitUse(key="a"), LimitUse(key="b:c", units=7)),
    not_before_us=4, hold=True, note=NASTY_TEXT,
)  # fmt: skip
FULL_JOB = a_job(
    "job-" + NASTY_TEXT, tenant=NASTY_TEXT, version=INT_MAX, spec=_FULL_SPEC, state=JobState.FAILED_RETRY,
    created_us=-INT_MAX - 1, updated_us=INT_MAX, generation=2, attempts_used=3, last_attempt=4, give_backs=5,
    live_attempt=6, engine_id=NASTY_TEXT, held="", pin=Pin("e", 5, "r"), cancel_reason="", grace_at_us=0,
    ttl_at_us=8, retry_at_us=9, ended_us=10, deleted_us=11, result=_JSON, error=_ERROR,
    failed_on=(FailedOn(NASTY_TEXT, "lost", 2), FailedOn("e", "engine")), step=1, asked=Wish(requirements=("tag has fast",), parameters=_JSON), fall_at_us=12, fall_left_us=13,
    ready=Ready("lane", NASTY_TEXT, -INT_MAX - 1, INT_MAX, -1, 1e-300),
)  # fmt: skip
_FULL_ATTEMPT = an_attempt(
    NASTY_TEXT, INT_MAX // 10, run_until_us=-5, stall_us=6, progress=Progress(fraction=0.1, speed=2.0, message="m"),
    ended_us=0, outcome=Outcome.NO_PROGRESS, reported="", error=_ERROR, usage=_JSON,
)  # fmt: skip
_FULL_ENGINE = an_engine(
    wanted=Wanted(WantedState.QUARANTINED, NASTY_TEXT, "a"), seen=Seen.LEFT, trusted_us=INT_MAX,
    quarantine=Quarantine(probe_at_us=5, wait_us=6, probing=True),
    profile=Profile(
        kinds=("a", "b"), slots=3, size_bytes_max=4, version="v",
        facts={"t": NASTY_TEXT, "n": 1.5, "i": 2, "b": True, "s": ("x", "y"), "none": ()},
        benchmarks=(Benchmark(task_class="c", units_per_s=1e9, tool="t"),),
    ),
)  # fmt: skip
_FULL_KEY = a_key(
    NASTY_TEXT, tenant=NASTY_TEXT, version=INT_MAX, name=NASTY_TEXT, scopes=tuple(Scope), engine_id="e",
    former_digest="1" * 64, former_until_us=-1, expires_us=INT_MAX, revoked_us=0,
)  # fmt: skip
_FULL_POOL = a_pool(
    NASTY_TEXT, tenant=NASTY_TEXT, version=INT_MAX,
    spec=PoolSpec(url=NASTY_TEXT, capacity_bytes=INT_MAX, used_bytes=1, reserve_bytes=2, note=NASTY_TEXT),
)  # fmt: skip
_FULL_LIMIT = LimitSpec(
    capacity=0, rate_per_s=1e-6, burst=1_000_000, per=LimitScope.ENGINE, queued_max=INT_MAX, note=NASTY_TEXT
)
SAMPLES: Sequence[Record] = (
    a_job(), FULL_JOB, an_attempt(), _FULL_ATTEMPT, an_engine(), _FULL_ENGINE,
    a_pulse(due_us=None), a_pulse(disk_free_bytes=0, load=0.25), a_receipt(),
    a_receipt(NASTY_TEXT, answer=_JSON, job_id="j", due_us=INT_MAX), a_key(), _FULL_KEY, a_pool(), _FULL_POOL,
    a_window(), a_window(NASTY_TEXT, engine_id=NASTY_TEXT, reason=NASTY_TEXT, until_us=INT_MAX),
    a_limit(), a_limit(NASTY_TEXT, tenant=NASTY_TEXT, version=INT_MAX, spec=_FULL_LIMIT), a_ledger(),
    a_ledger(NASTY_TEXT, tokens=INT_MAX, refilled_us=-INT_MAX), a_trail(), a_trail(tenant=NASTY_TEXT, attempts=INT_MAX),
)  # fmt: skip
"""Every type of record, bare and with every optional field set."""


def added(*records: Record, **more: Any) -> ChangeSet:
    """A change set that inserts records."""
    return ChangeSet(changes=[Change(ref_of(record), None, record) for record in records], **more)


def changed(*pairs: tuple[Record, Record | None], **more: Any) -> ChangeSet:
    """A change set of (before, after)."""
    return ChangeSet(changes=[Change(ref_of(before), before, after) for before, after in pairs], **more)


def save(storage: Storage, changes: ChangeSet) -> None:
    """One transaction that writes this."""
    with storage.begin() as transaction:
        transaction.save(changes)


def load(storage: Storage, record: Record) -> Record | None:
    """The stored record of that name."""
    with storage.read() as snapshot:
        return snapshot.load([ref_of(record)]).get(ref_of(record))


def next_version(record: Any, **fields: Any) -> Any:
    """The record one version later."""
    return attrs.evolve(record, version=record.version + 1, **fields)


def ids_of(jobs: Mapping[Bucket, Sequence[Job]], bucket: Bucket = BUCKET) -> list[str]:
    """The ids of a bucket's heads."""
    return [job.id for job in jobs.get(bucket, ())]
