"""Jobs and engines in the older shape: flat objects, sizes in megabytes, times in milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch_core import Attempt, EngineStatus, Job, JobState, Pool, Seen
from dispatch_http.legacy.kind import BYTES_PER_GB, BYTES_PER_MB
from dispatch_http.legacy.reading import MADE, NAME

Shape = dict[str, Any]
# The older fleet knows no start times: a job that waits for one is pending to it.
_STATUS: Mapping[JobState, str] = {state: state.value for state in JobState} | {JobState.DELAYED: "pending"}
_RETRYING = (JobState.PENDING, JobState.DELAYED, JobState.FAILED_RETRY)


def milliseconds(us: int) -> int:
    """An instant as the older fleet writes it."""
    return us // 1_000


def job_shape(job: Job, attempt: Attempt | None = None) -> Shape:
    """A job; how far it is, if its live ``attempt`` is given. ``job_size`` is always a number."""
    spec, result = job.spec, job.result or {}
    shape: Shape = {
        "job_id": job.id,
        "source_url": spec.parameters["source_url"],
        "target_codec": spec.parameters["target_codec"],
        "job_size": (spec.size.size_bytes or 0) / BYTES_PER_MB,
        "status": _STATUS[job.state],
        "assigned_engine": job.engine_id if job.state is JobState.ASSIGNED else None,
        "output_url": result.get("output_url"),
        "retries": _retries(job),
        "max_retries": spec.retry.max_attempts - 1,
        "priority": spec.priority,
        "resource_requirements": spec.parameters.get("resource_requirements", {}),
        "created_at": milliseconds(job.created_us),
        "updated_at": milliseconds(job.updated_us),
    }
    if job.error is not None:
        shape["error_message"] = job.error.message
    if job.retry_at_us is not None:
        shape["retry_after"] = milliseconds(job.retry_at_us)
    if attempt is not None and attempt.progress is not None:
        shape["progress"] = round(attempt.progress.fraction * 100)
        shape["progress_message"] = attempt.progress.message
    return shape


def _retries(job: Job) -> int:
    """How often it was or will be tried again: attempts but the first, and the one it waits for."""
    waits_again = job.state in _RETRYING
    return min(max(0, job.attempts_used - (not waits_again)), job.spec.retry.max_attempts - 1)


def engine_shape(status: EngineStatus) -> Shape:
    """An engine; ``status`` tells what we know, not what it says: it says "idle" while it works."""
    engine, facts = status.engine, status.engine.profile.facts
    jobs = [attempt.job_id for attempt in status.attempts]
    alive = "busy" if jobs else "idle"
    return {
        "engine_id": facts.get(NAME, engine.id),
        "engine_type": facts.get("engine_type", "transcoder"),
        "hostname": facts.get("hostname", ""),
        "status": alive if engine.seen is Seen.LIVE else engine.seen.value,
        "storage_capacity_gb": facts.get("storage_capacity_gb", 0.0),
        "streaming_support": facts.get("streaming", False),
        "supported_codecs": facts.get("supported_codecs", ()),
        "local_job_queue": jobs,
        "current_job_id": jobs[0] if jobs else None,
        "last_heartbeat": milliseconds(status.pulse.seen_us if status.pulse else engine.updated_us),
    }


def pool_shape(pool: Pool) -> Shape:
    """A storage pool, in gigabytes."""
    return {
        "id": pool.id,
        "name": pool.spec.note if pool.id.startswith(MADE) else pool.id,
        "capacity_gb": pool.spec.capacity_bytes / BYTES_PER_GB,
        "used_gb": pool.spec.used_bytes / BYTES_PER_GB,
        "path": pool.spec.url,
        "created_at": milliseconds(pool.created_us),
    }
