"""Answers to why, as classes: they describe the forms of the core like those beside them."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from dispatch_core import JobVerdict, Reason
from dispatch_http.openapi.schemas import Instant


@frozen(kw_only=True)
class EngineAnswer:
    """One engine's answer about a job: every reason that keeps it from being started there now, the hardest first."""

    engine_id: str
    admits: bool
    estimate_s: float | None
    reasons: tuple[Reason, ...]


@frozen(kw_only=True)
class FallBack:
    """The step of the ladder that would help: the first that ``engines`` could take, else the next one.

    ``at`` is when it takes effect, ``next_at`` when the next step does; null while their time stands still.
    """

    step: int
    next_at: Instant | None
    at: Instant | None
    engines: tuple[str, ...]


@frozen(kw_only=True)
class StartEstimate:
    """An estimate of when a waiting job starts: one time in ten before ``p10``, half before ``p50``, nine in ten
    before ``p90``. What is submitted, fails or joins later is not in it. ``engines`` are those whose slots were counted.
    """

    p10: Instant
    p50: Instant
    p90: Instant
    engines: tuple[str, ...]


@frozen(kw_only=True)
class Explanation:
    """Why a job is where it is, and the smallest change that would move it.

    ``unblock`` is a change of the fleet, ``nearest`` the engine it would make ready, ``instead`` are changes of the
    job that would do as well. ``position`` is its place among what would be granted before it; at least that unless
    ``position_exact``. ``mode`` is the job's own mode, where it is not the server's.
    """

    job_id: str
    at: Instant
    verdict: JobVerdict
    summary: str
    unblock: str
    instead: tuple[str, ...]
    nearest: str | None
    position: int | None
    position_exact: bool
    estimated_start: StartEstimate | None
    mode: str | None
    engines: tuple[EngineAnswer, ...]
    fall_back: FallBack | None


@frozen(kw_only=True)
class Candidate:
    """A job that a claim considers; the least score wins (microseconds from which it counts as late)."""

    job_id: str
    score: int
    order_key: int
    penalty_us: int
    estimate_s: float


@frozen(kw_only=True)
class ClaimPreview:
    """What a claim would see now: the winner, the runners-up, and how many jobs were refused, and why."""

    engine_id: str
    at: Instant
    chosen: Candidate | None
    runners_up: tuple[Candidate, ...]
    refused: Mapping[str, int]
    reasons: tuple[Reason, ...]
