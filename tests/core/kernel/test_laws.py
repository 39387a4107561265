"""The laws hold in every state that any sequence of commands can reach."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from dispatch_core.kernel.table import TABLE, Variant, Verb, variant_of, verb_of
from dispatch_core.vocabulary.errors import CommandRejectedError, InvalidCommandError
from dispatch_core.vocabulary.jobs import JobSpec, Retry, Timeouts
from tests.core.kernel.laws import check_fold, check_step, check_world
from tests.core.kernel.world import SECOND, World

DEPTH = int(os.environ.get("DISPATCH_TEST_DEPTH", "6"))
SPANS = (0, 1, 5 * SECOND, 20 * SECOND, 30 * SECOND, 600 * SECOND, -3_600 * SECOND)


def _state(world: World) -> tuple[object, ...]:
    """What matters for what comes next: two worlds equal in this behave alike."""
    job, now = world.job, world.now
    marks = (variant_of(job), job.attempts_used, job.give_backs, job.live_attempt, job.generation > 1)
    fields = (job.held, job.pin and job.pin.engine_id, job.due_us and job.due_us - now)
    opened = tuple((each.ended_us is None, each.reported, each.outcome) for each in world.attempts.values())
    return (*marks, *fields, opened)


def test_all_short_sequences_keep_the_laws() -> None:
    """Breadth first over every command and a choice of waits: no state breaks a law, most cells are met."""
    seen, frontier, cells = set(), [World()], set()
    for _ in range(DEPTH):
        following = []
        for world in frontier:
            for span in (0, 30 * SECOND):
                for command in world.commands():
                    after = world.copy()
                    after.now += span
                    cells.add((variant_of(after.job), verb_of(command)))
                    if _step(after, command) and _state(after) not in seen:
                        seen.add(_state(after))
                        following.append(after)
        frontier = following
    assert len(seen) > 100
    missing = {cell for cell in TABLE if cell not in cells and cell[0] is not Variant.LATE_WAIT}
    assert missing <= {(Variant.DELAYED_KEPT, verb) for verb in Verb}


def _step(world: World, command: object) -> bool:
    before = world.copy()
    try:
        decision = world.do(command)  # type: ignore[arg-type]  # one of the world's own commands
    except (CommandRejectedError, InvalidCommandError):
        assert world.job == before.job
        assert world.attempts == before.attempts
        return False
    check_step(before, command, decision, world)  # type: ignore[arg-type]  # one of the world's own commands
    check_world(world)
    return True


@given(data=st.data(), hold=st.booleans(), tries=st.integers(1, 3), limits=st.booleans())
def test_random_walks_keep_the_laws(data: st.DataObject, hold: bool, tries: int, limits: bool) -> None:
    """Long walks with time jumping both ways: every law after every step, and history folds to the record."""
    timeouts = Timeouts(queue_s=60, run_s=90, no_progress_s=40) if limits else Timeouts()
    world = World(JobSpec(retry=Retry(max_attempts=tries), timeouts=timeouts, hold=hold))
    for _ in range(data.draw(st.integers(1, 25))):
        world.now += data.draw(st.sampled_from(SPANS))
        _step(world, data.draw(st.sampled_from(list(world.commands()))))
    check_fold(world)
