"""When a failed job is tried again. Jitter is derived from (job id, attempt), so it is deterministic."""

from __future__ import annotations

import hashlib
from typing import Protocol

from attrs import frozen

from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.jobs import Job, JobError


class RetryPolicy(Protocol):
    """Decides the wait before the next attempt."""

    def delay_us(self, job: Job, attempt: int, error: JobError) -> int | None:
        """Microseconds to wait after this attempt failed, or None to fail the job for good."""
        ...


@frozen(kw_only=True)
class ExponentialBackoff:
    """first · factor^(n−1), capped, then cut by up to ``jitter`` (0 to 1) of itself; n counts this generation."""

    jitter: float = 0.5

    def delay_us(self, job: Job, attempt: int, error: JobError) -> int | None:
        """The delay by the job's own ``retry`` terms; None if the error cannot be mended by trying again."""
        if not error.retryable:
            return None
        terms = job.spec.retry
        exponent = min(max(job.attempts_used - 1, 0), 64)
        full = min(terms.first_delay_s * terms.factor**exponent, terms.delay_max_s)
        return to_us(full * (1 - self.jitter * unit_interval(f"{job.id}/{attempt}")))


def unit_interval(seed: str) -> float:
    """A number in [0, 1) that depends on the seed alone."""
    return int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=7).digest(), "big") / 2**56
