"""The ladder: a wish that nobody grants becomes looser in its own time, a step at a time, until the first grant."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_core.kernel.ladder import asked_for, rungs, wait_us
from dispatch_core.testing import strategies as some
from dispatch_core.vocabulary import commands as c
from dispatch_core.vocabulary.errors import CommandRejectedError, InvalidCommandError
from dispatch_core.vocabulary.events import JobEdited, JobFellBack
from dispatch_core.vocabulary.jobs import JobSpec, JobState, LadderStep, Retry, Timeouts
from tests.core.kernel.laws import check_fold, check_step, check_world
from tests.core.kernel.world import SECOND, World

J = "job-1"
LADDER = (
    LadderStep(after_s=10, requirements=()),
    LadderStep(after_s=30, parameters={"encoder": None, "codec": "h264"}),
)
SPEC = JobSpec(parameters={"encoder": "libx265"}, requirements=("tag has gpu",), ladder=LADDER)
TICK = c.FireTimer(job_id=J)


def _world(**fields: object) -> World:
    return World(attrs.evolve(SPEC, **fields))  # type: ignore[arg-type]  # fields of JobSpec


def _tick(world: World, seconds: float = 0) -> World:
    world.now += round(seconds * SECOND)
    world.do(TICK)
    return world


def _wish(world: World) -> tuple[int, tuple[str, ...], object]:
    return world.job.step, world.job.spec.requirements, world.job.spec.parameters


def _grant(world: World) -> None:
    world.do(c.Grant(job_id=J, engine_id="e", session="s", explanation={}))


FOOT = (0, ("tag has gpu",), {"encoder": "libx265"})
FIRST = (1, (), {"encoder": "libx265"})
LAST = (2, (), {"codec": "h264"})


def test_a_step_changes_what_it_names_when_its_time_has_come() -> None:
    """To the microsecond; a step adds to the one before it, and after the last nothing is due."""
    world = _world()
    assert _wish(_tick(world, 9.999_999)) == FOOT
    assert _wish(_tick(world, 0.000_001)) == FIRST
    assert _wish(_tick(world, 19.999_999)) == FIRST
    assert _wish(_tick(world, 0.000_001)) == LAST
    assert world.job.due_us is None
    assert asked_for(world.job) == SPEC
    check_fold(world)


def test_a_tick_that_comes_late_skips_no_step() -> None:
    """Engines get all the declared time of every step, however long nobody ticked."""
    world = _tick(_world(), 1_000)
    assert _wish(world) == FIRST
    assert _wish(_tick(world)) == FIRST
    assert _wish(_tick(world, 20)) == LAST


def test_nothing_falls_while_engines_have_no_chance_to_claim() -> None:
    """A paused tick (just started, or the clock jumped) leaves the wish as it is."""
    world = _world()
    world.now += 60 * SECOND
    world.do(c.FireTimer(job_id=J, paused=True))
    assert _wish(world) == FOOT


@pytest.mark.parametrize("stop", ["hold", "delay"])
def test_time_in_which_it_may_not_be_claimed_does_not_count(stop: str) -> None:
    """A hold, or a start time ahead, stops the ladder's time; it goes on where it stood."""
    world = _tick(_world(), 4)
    if stop == "hold":
        world.do(c.Hold(job_id=J))
        assert _wish(_tick(world, 100)) == FOOT
        world.do(c.Release(job_id=J))
    else:
        world.do(c.Update(job_id=J, edit=c.Edit(not_before_us=world.now + 100 * SECOND)))
        assert _wish(_tick(world, 100)) == FOOT
        assert world.job.state is JobState.PENDING
    assert _wish(_tick(world, 5.999_999)) == FOOT
    assert _wish(_tick(world, 0.000_001)) == FIRST


def test_a_job_submitted_held_or_for_later_begins_when_it_may_be_claimed() -> None:
    """Its time is whole at the release, or at its start time."""
    held, later = _world(hold=True), _world(not_before_us=_world().now + 50 * SECOND)
    for world in (held, later):
        assert world.job.fall_at_us is None
        _tick(world, 50)
    held.do(c.Release(job_id=J))
    for world in (held, later):
        assert world.job.fall_at_us == world.now + 10 * SECOND


def test_the_first_grant_ends_the_ladder() -> None:
    """What an engine was given stays as it is: not while it runs, nor when it comes back, does it fall further."""
    world = _tick(_world(), 10)
    _grant(world)
    assert _wish(_tick(world, 5)) == FIRST
    world.do(c.GiveBack(job_id=J, token=world.token(), engine_id="e"))
    assert world.job.state is JobState.PENDING
    assert _wish(_tick(world, 1_000)) == FIRST
    assert world.job.due_us is None


def test_a_requeue_starts_at_the_foot() -> None:
    """The new generation has the wish as it was asked for, and the whole time."""
    world = _tick(_tick(_world(), 10), 20)
    world.do(c.Cancel(job_id=J))
    assert _wish(world) == LAST
    world.do(c.Requeue(job_id=J))
    assert _wish(world) == FOOT
    assert world.job.asked is None
    assert _wish(_tick(world, 10)) == FIRST
    check_fold(world)


@pytest.mark.parametrize(
    ("edit", "wish"),
    [
        (c.Edit(priority=7), FIRST),
        (c.Edit(requirements=("tag has fast",)), (0, ("tag has fast",), {"encoder": "libx265"})),
        (c.Edit(parameters={"encoder": "x"}), (0, ("tag has gpu",), {"encoder": "x"})),
        (c.Edit(requirements=("tag has gpu",)), FOOT),
        (c.Edit(requirements=()), (0, (), {"encoder": "libx265"})),
        (c.Edit(ladder=()), FOOT),
    ],
)
def test_an_edit_of_the_wish_states_it_anew(edit: c.Edit, wish: object) -> None:
    """It is applied to what was asked for and starts at the foot; an edit of anything else moves no step."""
    world = _tick(_world(), 10)
    world.do(c.Update(job_id=J, edit=edit))
    assert _wish(world) == wish
    if wish != FIRST:
        due = world.now + 10 * SECOND if world.job.spec.ladder else None
        assert (world.job.asked, world.job.due_us) == (None, due)
    check_world(world)
    check_fold(world)


def test_the_queue_limit_ends_a_job_on_its_ladder() -> None:
    """Timers fire in the order of their time: the step that comes before the limit, then the limit."""
    world = _world(timeouts=Timeouts(queue_s=15))
    assert _wish(_tick(world, 10)) == FIRST
    assert _tick(world, 5).job.state is JobState.FAILED_PERMANENTLY
    assert world.job.fall_at_us is None


def test_a_clock_that_went_back_makes_no_wait_longer() -> None:
    """Further ahead than declared means stamped by another clock: it counts anew from now."""
    world = _world()
    _tick(world, -3_600)
    assert world.job.fall_at_us == world.now + 10 * SECOND
    world.now -= 3_600 * SECOND
    world.do(c.Hold(job_id=J))
    assert world.job.fall_left_us == 10 * SECOND
    check_fold(world)


SPANS = (0, 1, SECOND, 7 * SECOND, 60 * SECOND, 600 * SECOND, -3_600 * SECOND)


@given(data=st.data(), ladder=some.ladders(), hold=st.booleans(), limit=st.none() | st.just(60.0))
def test_a_ladder_leads_down_only(
    data: st.DataObject, ladder: tuple[LadderStep, ...], hold: bool, limit: float | None
) -> None:
    """Over any walk: one step at a time, never back within a generation except by an edit of the wish, never after
    a grant, never before its time; the wish is that of its step; history folds to the record.
    """
    world = World(
        attrs.evolve(
            SPEC, ladder=ladder, hold=hold, retry=Retry(max_attempts=2), timeouts=Timeouts(queue_s=limit)
        )
    )
    granted = False
    edits = [c.Update(job_id=J, edit=c.Edit(ladder=data.draw(some.ladders())))]
    for _ in range(data.draw(st.integers(1, 15))):
        world.now += data.draw(st.sampled_from(SPANS))
        command = data.draw(st.sampled_from([*world.commands(), *edits, TICK, TICK]))
        before = world.copy()
        try:
            decision = world.do(command)
        except (CommandRejectedError, InvalidCommandError):
            continue
        check_step(before, command, decision, world)
        check_world(world)
        anew = any(isinstance(each, JobEdited) and each.anew for each in decision.events)
        fell = any(isinstance(each, JobFellBack) for each in decision.events)
        if anew or world.job.generation > before.job.generation:
            granted = False
            assert world.job.step == 0
        else:
            assert world.job.step == before.job.step + fell
        if fell:
            assert before.job.claimable
            assert not granted
            assert before.job.fall_at_us is not None
            assert world.now >= before.job.fall_at_us
            declared = list(rungs(asked_for(world.job)))[world.job.step - 1]
            assert declared == world.job.spec
        granted = granted or isinstance(command, c.Grant)
    check_fold(world)


@given(ladder=some.ladders())
def test_the_waits_add_up(ladder: tuple[LadderStep, ...]) -> None:
    """A step takes effect as long after the first instant as it says."""
    waits = [wait_us(attrs.evolve(SPEC, ladder=ladder), step) or 0 for step in range(len(ladder))]
    assert sum(waits) == (round(ladder[-1].after_s * SECOND) if ladder else 0)
