"""The laws of lifecycle.md, checked on a world after every step. Written apart from the kernel's own checks."""

from __future__ import annotations

import attrs

from dispatch_core.kernel.evolve import evolve
from dispatch_core.kernel.invariants import broken_laws
from dispatch_core.kernel.terms import Decision
from dispatch_core.vocabulary import commands as c
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.jobs import Job
from tests.core.kernel.world import World, placed


def check_world(world: World) -> None:
    """What must hold in every state."""
    job = world.job
    assert list(broken_laws(job, list(world.attempts.values()), world.terms.give_backs_max)) == []
    assert job.version == len(world.history)
    grants = sum(each.generation == job.generation for each in world.attempts.values())
    assert grants <= job.spec.retry.max_attempts + world.terms.give_backs_max


def check_fold(world: World) -> None:
    """History tells the whole story: folding it gives the record."""
    folded: Job | None = None
    for event, at_us in world.history:
        folded = evolve(folded, event, at_us)
    assert folded is not None
    assert placed(folded) == world.job
    times = [at_us for _, at_us in world.history]
    assert times == sorted(times)


def check_step(before: World, command: c.JobCommand, decision: Decision, after: World) -> None:
    """What must hold of every step."""
    old, new = before.job, after.job
    assert new.version == old.version + len(decision.events)
    if old.state.terminal and not new.state.terminal:
        assert isinstance(command, c.Requeue)
        assert new.generation == old.generation + 1
    if isinstance(command, c.JobReport) and old.state.terminal:
        assert new == old
    for number, attempt in before.attempts.items():
        _check_attempt(attempt, after.attempts[number])


def _check_attempt(old: Attempt, new: Attempt) -> None:
    assert (new.number, new.token, new.engine_id, new.granted_us) == (
        old.number,
        old.token,
        old.engine_id,
        old.granted_us,
    )
    assert new.version >= old.version
    if old.reported is not None:
        assert attrs.evolve(new, version=0) == attrs.evolve(old, version=0), (
            "a reported attempt never changes"
        )
