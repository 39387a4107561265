"""Answers to 'why': one value for a claim, one for a job."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen


@frozen
class Reason:
    """One true statement that keeps a job and an engine apart; ``mend`` is the change that would remove it."""

    code: str
    message: str
    mend: str = ""
    volatile: bool = False


PASSING = frozenset({"busy", "outranked", "waits-for-better"})
"""What only slots and rank have to do with."""


class JobVerdict(StrEnum):
    """Why a job is where it is, in one word."""

    NEVER = "never"
    """No engine known could ever run it."""
    OFFLINE = "offline"
    """An engine that is away, cordoned or draining could run it."""
    BUSY = "busy"
    """Capable engines are all occupied."""
    OUTRANKED = "outranked"
    """A capable engine is free, and other jobs come first, or the job is left to a better one."""
    LIMITED = "limited"
    """A limit, a hold or a pin keeps it."""
    NEXT = "next"
    """The next claim of a capable, free engine gets it."""
    WAITING = "waiting"
    """It waits for a time."""
    RUNNING = "running"
    """An engine has it."""
    ENDED = "ended"
    """Nothing more will happen to it by itself."""


@frozen(kw_only=True)
class EngineAnswer:
    """One engine's answer about one job: all true reasons, the hardest first; none means it could start now."""

    engine_id: str
    reasons: tuple[Reason, ...]
    estimate_s: float | None = None

    @property
    def admits(self) -> bool:
        """Whether only slots and rank stand between them."""
        return all(reason.code in PASSING for reason in self.reasons)


@frozen(kw_only=True)
class FallAhead:
    """The step of the job's ladder that would help: the first that ``engines`` could take, else the next one.

    ``next_at_us`` is when the next step takes effect, ``at_us`` when this one does; None while their time
    stands still.
    """

    step: int
    next_at_us: int | None
    at_us: int | None
    engines: tuple[str, ...] = ()


@frozen(kw_only=True)
class StartEstimate:
    """When a waiting job should start, as things stand: one time in ten before ``p10_us``, half before ``p50_us``,
    nine in ten before ``p90_us``. A guess: what is submitted, fails or joins later is not in it.

    ``engines`` are those whose slots were counted.
    """

    p10_us: int
    p50_us: int
    p90_us: int
    engines: tuple[str, ...] = ()


@frozen(kw_only=True)
class JobExplanation:
    """Why a job waits (or does not): the verdict, every engine's answer, and the smallest mend.

    ``unblock`` is the smallest change of the fleet, ``nearest`` the engine it would make ready; ``instead`` are
    changes of the job that would do as well. ``position`` is its place among what would be granted before it on
    the engines it waits for; not ``position_exact``: at least that. ``start`` is None if nothing can be said.
    ``mode`` is the job's own mode, where it orders the job and is not the server's.
    """

    job_id: str
    at_us: int
    verdict: JobVerdict
    summary: str
    unblock: str = ""
    instead: tuple[str, ...] = ()
    nearest: str | None = None
    position: int | None = None
    position_exact: bool = True
    start: StartEstimate | None = None
    engines: tuple[EngineAnswer, ...] = ()
    fall_back: FallAhead | None = None
    mode: str | None = None


@frozen(kw_only=True)
class Candidate:
    """A job a claim considered: its score is the instant (µs) from which it counts as late; least wins."""

    job_id: str
    score: int
    order_key: int
    penalty_us: int
    estimate_s: float


@frozen(kw_only=True)
class ClaimExplanation:
    """What a claim saw: the winner with its key parts, three runners-up, and how many were refused, and why."""

    engine_id: str
    at_us: int
    chosen: Candidate | None = None
    runners_up: tuple[Candidate, ...] = ()
    refused: Mapping[str, int] = field(factory=dict)
    reasons: tuple[Reason, ...] = ()
