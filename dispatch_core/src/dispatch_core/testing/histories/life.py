"""One job's life as clients and engines see it: the sequential specification that histories are held against.

It is written from the lifecycle's rules and shares no code with the kernel that it judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

import attrs
from attrs import frozen

from dispatch_core.testing.histories.operations import Act, Ending, Operation

LOST, WRONG, UNKNOWN_JOB = "lease-lost", "wrong-state", "unknown-job"
JUDGED = frozenset({LOST, WRONG, UNKNOWN_JOB})
"""Refusals that the specification explains; any other (a limit, a scope …) may be answered at any time."""


@frozen(kw_only=True)
class Allowance:
    """What the jobs of a history may do: effective attempts, give-backs, and whether limits of time may end them.

    Leave the limits out where jobs have none: then nothing may be explained by them.
    """

    attempts_max: int = 4
    give_backs_max: int = 16
    run_limits: bool = False
    queue_limits: bool = False


class Phase(StrEnum):
    """Where a job is. A wait until an instant is part of ``waiting``: it may end at any moment."""

    ABSENT = "absent"
    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACK_OFF = "backing off"
    LATE = "waiting for a late report"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_STATES: Mapping[Phase, frozenset[str]] = {
    Phase.ABSENT: frozenset(),
    Phase.WAITING: frozenset({"pending", "delayed"}),
    Phase.RUNNING: frozenset({"assigned"}),
    Phase.STOPPING: frozenset({"assigned"}),
    Phase.BACK_OFF: frozenset({"failed_retry"}),
    Phase.LATE: frozenset({"failed_retry"}),
    Phase.COMPLETED: frozenset({"completed"}),
    Phase.FAILED: frozenset({"failed_permanently"}),
    Phase.CANCELLED: frozenset({"cancelled"}),
}
_LEAVABLE = {Phase.BACK_OFF, Phase.LATE, Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED}


@frozen
class Tried:
    """One attempt: its token (None if nobody was told), who holds it, and the verb that it was ended with."""

    token: str | None
    engine_id: str | None
    reported: Act | None = None


@frozen(kw_only=True)
class Life:
    """All that matters of a job. ``live`` is the number of the attempt that may still report, 0 for none.

    ``done`` holds the keys of commands that took effect, ``unseen`` counts grants that nobody was told of.
    """

    phase: Phase = Phase.ABSENT
    generation: int = 1
    tries: tuple[Tried, ...] = ()
    live: int = 0
    used: int = 0
    given_back: int = 0
    result: str | None = None
    done: frozenset[str] = frozenset()
    unseen: int = 0

    def __str__(self) -> str:
        counts = f"attempts used {self.used}, given back {self.given_back}, generation {self.generation}"
        if not self.live:
            return f"{self.phase} ({counts})"
        held = self.tries[self.live - 1]
        whose = f"{held.token or f'number {self.live}'} of {held.engine_id or 'nobody knows which engine'}"
        return f"{self.phase}, its live attempt {whose} ({counts})"


Outcome = str | tuple[Life, ...]
"""A refusal's code, or the lives that may follow."""


def follow(life: Life, operation: Operation, allowance: Allowance) -> Iterator[Life]:
    """The lives that may follow if the operation takes effect now and answers as it did; none if it cannot."""
    if operation.key is not None and operation.key in life.done:
        if operation.ending is not Ending.REFUSED or operation.code not in JUDGED:
            yield life
        return
    if operation.ending is Ending.REFUSED and operation.code not in JUDGED:
        yield life
        return
    outcome = _ACTS[operation.act](life, operation, allowance)
    if isinstance(outcome, str):
        if operation.ending is Ending.REFUSED and operation.code == outcome:
            yield life
    elif operation.ending is not Ending.REFUSED:
        for after in outcome:
            if operation.ending is Ending.UNKNOWN or _told(after, operation):
                yield (
                    after if operation.key is None else attrs.evolve(after, done=after.done | {operation.key})
                )


def pass_time(life: Life, allowance: Allowance) -> Iterator[Life]:
    """The lives that time alone may lead to: leases, waits and limits end whenever they may."""
    match life.phase:
        case Phase.RUNNING:
            at_cap = life.used >= allowance.attempts_max
            yield attrs.evolve(life, phase=Phase.LATE if at_cap else Phase.WAITING)
            if allowance.run_limits:
                yield from _failed(attrs.evolve(life, live=0), allowance)
        case Phase.STOPPING:
            yield attrs.evolve(life, phase=Phase.CANCELLED, live=0)
        case Phase.BACK_OFF:
            yield attrs.evolve(life, phase=Phase.WAITING)
        case Phase.LATE:
            yield attrs.evolve(life, phase=Phase.FAILED, live=0)
        case Phase.WAITING if allowance.queue_limits:
            yield attrs.evolve(life, phase=Phase.FAILED, live=0)


def grant_unseen(life: Life, allowance: Allowance) -> Iterator[Life]:
    """The life after a grant of which nobody was told."""
    if life.phase is Phase.WAITING and life.used < allowance.attempts_max:
        yield attrs.evolve(_granted(life, None, None), unseen=life.unseen + 1)


def _granted(life: Life, token: str | None, engine_id: str | None) -> Life:
    tries = (*life.tries, Tried(token, engine_id))
    return attrs.evolve(life, phase=Phase.RUNNING, tries=tries, live=len(tries), used=life.used + 1)


def _submit(life: Life, _operation: Operation, _allowance: Allowance) -> Outcome:
    return (attrs.evolve(life, phase=Phase.WAITING),) if life.phase is Phase.ABSENT else "already-submitted"


def _claim(life: Life, operation: Operation, allowance: Allowance) -> Outcome:
    if life.phase is not Phase.WAITING or life.used >= allowance.attempts_max:
        return WRONG
    if operation.number != len(life.tries) + 1:
        return WRONG
    return (_granted(life, operation.token, operation.engine_id),)


def _place(life: Life, operation: Operation) -> int:
    """The number of the attempt that a report names, 0 if its engine does not hold it."""
    for number, tried in enumerate(life.tries, 1):
        if tried.token == operation.token and operation.engine_id in (None, tried.engine_id):
            return number
    return 0


def _renew(life: Life, operation: Operation, _allowance: Allowance) -> Outcome:
    if life.phase is Phase.ABSENT:
        return UNKNOWN_JOB
    place = _place(life, operation)
    if not place or place != life.live:
        return LOST
    return (life if life.phase is Phase.STOPPING else attrs.evolve(life, phase=Phase.RUNNING),)


def _report(life: Life, operation: Operation, allowance: Allowance) -> Outcome:
    if life.phase is Phase.ABSENT:
        return UNKNOWN_JOB
    place = _place(life, operation)
    if place and life.tries[place - 1].reported is operation.act:
        return (life,)
    if not place or place != life.live:
        return LOST
    tried = attrs.evolve(life.tries[place - 1], reported=operation.act)
    after = attrs.evolve(life, tries=(*life.tries[: place - 1], tried, *life.tries[place:]), live=0)
    if operation.act is Act.COMPLETE:
        return (attrs.evolve(after, phase=Phase.COMPLETED, result=operation.value),)
    if life.phase is Phase.STOPPING:
        return (attrs.evolve(after, phase=Phase.CANCELLED),)
    if operation.act is Act.GIVE_BACK and life.given_back < allowance.give_backs_max:
        back = attrs.evolve(after, used=life.used - 1, given_back=life.given_back + 1)
        return (attrs.evolve(back, phase=Phase.WAITING),)
    return tuple(_failed(after, allowance, late=life.phase, retryable=operation.retryable))


def _failed(
    life: Life, allowance: Allowance, *, late: Phase = Phase.RUNNING, retryable: bool = True
) -> Iterator[Life]:
    """A failure ends the job at its last attempt, if nothing can mend it, or if too many engines failed with it."""
    if retryable and late is not Phase.LATE:
        if late is Phase.WAITING:
            yield attrs.evolve(life, phase=Phase.WAITING)
        elif life.used < allowance.attempts_max:
            yield attrs.evolve(life, phase=Phase.BACK_OFF)
    yield attrs.evolve(life, phase=Phase.FAILED)


def _cancel(life: Life, _operation: Operation, _allowance: Allowance) -> Outcome:
    match life.phase:
        case Phase.ABSENT:
            return UNKNOWN_JOB
        case Phase.COMPLETED | Phase.FAILED:
            return WRONG
        case Phase.STOPPING | Phase.CANCELLED:
            return (life,)
        case Phase.RUNNING:
            return (attrs.evolve(life, phase=Phase.STOPPING),)
        case _:
            return (attrs.evolve(life, phase=Phase.CANCELLED, live=0),)


def _requeue(life: Life, _operation: Operation, _allowance: Allowance) -> Outcome:
    if life.phase is Phase.ABSENT:
        return UNKNOWN_JOB
    if life.phase not in _LEAVABLE:
        return WRONG
    fresh = attrs.evolve(life, used=0, given_back=0, live=0, result=None, generation=life.generation + 1)
    return (attrs.evolve(fresh, phase=Phase.WAITING),)


def _look(life: Life, _operation: Operation, _allowance: Allowance) -> Outcome:
    return UNKNOWN_JOB if life.phase is Phase.ABSENT else (life,)


_ACTS: Mapping[Act, Callable[[Life, Operation, Allowance], Outcome]] = {
    Act.SUBMIT: _submit,
    Act.CLAIM: _claim,
    Act.RENEW: _renew,
    Act.PROGRESS: _renew,
    Act.COMPLETE: _report,
    Act.FAIL: _report,
    Act.GIVE_BACK: _report,
    Act.CANCEL: _cancel,
    Act.REQUEUE: _requeue,
    Act.LOOK: _look,
}
_REPORTS = frozenset({Act.COMPLETE, Act.FAIL, Act.GIVE_BACK})


def _told(life: Life, operation: Operation) -> bool:
    """Whether the life is the one that the answer tells of."""
    told = operation.answer
    if operation.act in (Act.RENEW, Act.PROGRESS):
        return told.get("cancel", life.phase is Phase.STOPPING) == (life.phase is Phase.STOPPING)
    if operation.act in _REPORTS:
        return operation.act is not Act.COMPLETE or told.get("outcome", "completed") == "completed"
    if "state" in told and told["state"] not in _STATES[life.phase]:
        return False
    facts: dict[str, object] = {
        "generation": life.generation,
        "attempts_used": life.used,
        "live_attempt": life.live or None,
        "cancel_requested": life.phase is Phase.STOPPING,
    }
    if life.result is not None:
        facts["result"] = life.result
    return all(told[name] == fact for name, fact in facts.items() if name in told)
