"""What a job remembers of its failures, and when it is poison."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_core.kernel.blame import TELLING, failed_again, poison
from dispatch_core.kernel.terms import Terms
from dispatch_core.vocabulary import commands as c
from dispatch_core.vocabulary.events import AttemptFailed, JobFailed, LimitExceeded
from dispatch_core.vocabulary.jobs import (
    FAILED_ON_MAX,
    FailedOn,
    JobError,
    JobSpec,
    JobState,
    Retry,
    Timeouts,
)
from tests.core.kernel.laws import check_fold, check_world
from tests.core.kernel.world import SECOND, World

CLASSES = ("input", "engine", "resource", "timeout", "lost")
FAILURES = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(CLASSES)), max_size=60)
MANY = JobSpec(retry=Retry(max_attempts=9), timeouts=Timeouts(run_s=50))


def a_world(poison_engines: int = 3) -> World:
    """One job with attempts to spare."""
    return World(MANY, Terms(incarnation="i", poison_engines=poison_engines))


def granted(world: World, engine_id: str) -> int:
    """The number of the next attempt, which an engine begins when the job may be claimed again."""
    if world.job.state is JobState.FAILED_RETRY:
        world.now = world.job.retry_at_us or world.now
        world.do(c.FireTimer(job_id="job-1"))
    world.do(c.Grant(job_id="job-1", engine_id=engine_id, session="s", explanation={}))
    return world.job.last_attempt


def fails(world: World, engine_id: str, failure_class: str = "engine") -> None:
    """An attempt on an engine that reports failure, is lost, or runs too long."""
    number = granted(world, engine_id)
    if failure_class in ("lost", "timeout"):
        cause = "lease" if failure_class == "lost" else "run"
        world.do(c.EndAttempt(job_id="job-1", number=number, cause=cause))
        return
    error = JobError(failure_class=failure_class, message="no")
    world.do(c.Fail(job_id="job-1", token=f"i.{number}", engine_id=engine_id, error=error))


@given(failures=FAILURES)
def test_a_job_remembers_each_engine_once_the_last_failure_last(failures: list[tuple[str, str]]) -> None:
    """How often it failed on an engine is how often it was told so; the order is that of the last failures."""
    known: tuple[FailedOn, ...] = ()
    for engine_id, failure_class in failures:
        known = failed_again(known, engine_id, failure_class)
    last = {engine_id: at for at, (engine_id, _) in enumerate(failures)}
    assert [each.engine_id for each in known] == sorted(last, key=lambda engine_id: last[engine_id])
    assert [each.failure_class for each in known] == [failures[last[each.engine_id]][1] for each in known]
    assert sum(each.times for each in known) == len(failures)


def test_the_memory_is_bounded() -> None:
    """Of very many engines it keeps the last."""
    known: tuple[FailedOn, ...] = ()
    for number in range(FAILED_ON_MAX + 5):
        known = failed_again(known, f"e{number}", "engine")
    assert [each.engine_id for each in known] == [f"e{number}" for number in range(5, FAILED_ON_MAX + 5)]


@given(failures=FAILURES, engines_max=st.integers(0, 5))
def test_a_job_is_poison_when_so_many_engines_told_of_its_failure(
    failures: list[tuple[str, str]], engines_max: int
) -> None:
    """Engines that vanished tell nothing; the same engine tells once; 0 means never."""
    known: tuple[FailedOn, ...] = ()
    for engine_id, failure_class in failures:
        known = failed_again(known, engine_id, failure_class)
    telling = {each.engine_id for each in known if each.failure_class in TELLING}
    error = poison(known, engines_max)
    assert (error is not None) == (0 < engines_max <= len(telling))
    if error is not None:
        assert not error.retryable
        assert all(engine_id in error.message for engine_id in telling)


@pytest.mark.parametrize("failure_class", ["input", "engine", "timeout"])
def test_poison_ends_a_job_that_has_attempts_left(failure_class: str) -> None:
    """The third engine is the last; the attempt keeps its own error, the job says on which engines it failed."""
    world = a_world()
    for engine_id in ("a", "b", "a"):
        fails(world, engine_id, failure_class)
    before = world.copy().job
    fails(world, "c", failure_class)
    assert (before.state, world.job.state) == (JobState.FAILED_RETRY, JobState.FAILED_PERMANENTLY)
    assert world.job.attempts_used == 4
    assert world.job.error is not None
    assert world.job.error.failure_class == "poison"
    assert world.job.error.message.startswith("poison: it failed on 3 engines: b (")
    ended = world.attempts[4].error
    assert ended is not None
    assert ended.failure_class == failure_class
    told, given_up = (event for event, _ in world.history[-2:])
    assert isinstance(told, (AttemptFailed, LimitExceeded))
    assert isinstance(given_up, JobFailed)
    check_world(world)
    check_fold(world)


def test_engines_that_vanish_make_no_job_poison() -> None:
    """A fleet of machines that are switched off again and again must not lose its jobs; the count of attempts holds."""
    world = a_world()
    for engine_id in "abcdefgh":
        fails(world, engine_id, "lost")
    assert world.job.state is JobState.PENDING
    assert [each.failure_class for each in world.job.failed_on] == ["lost"] * 8


def test_a_late_report_says_what_a_lost_lease_was() -> None:
    """It was counted when the lease ended; now the engine has told, and may be the one too many."""
    world = a_world(poison_engines=2)
    fails(world, "a")
    fails(world, "b", "lost")
    assert [(each.engine_id, each.times) for each in world.job.failed_on] == [("a", 1), ("b", 1)]
    error = JobError(failure_class="resource", message="no")
    world.do(c.Fail(job_id="job-1", token="i.2", engine_id="b", error=error))
    assert world.job.failed_on[-1] == FailedOn("b", "resource", 1)
    assert world.job.state is JobState.FAILED_PERMANENTLY
    check_world(world)
    check_fold(world)


def test_a_requeue_and_an_edit_of_the_work_begin_anew() -> None:
    """What failed belongs to a former generation, or was other work; an edit of the note changes nothing."""
    world = a_world()
    fails(world, "a")
    world.do(c.Update(job_id="job-1", edit=c.Edit(note="hm")))
    assert world.job.failed_on
    edited = world.copy()
    edited.do(c.Update(job_id="job-1", edit=c.Edit(parameters={"codec": "av1"})))
    assert edited.job.failed_on == ()
    world.do(c.Requeue(job_id="job-1"))
    assert world.job.failed_on == ()
    check_fold(world)
    check_fold(edited)


def test_what_an_older_version_wrote_down_still_folds() -> None:
    """Its failures name no engine: such a job remembers none, as its record does not."""
    world = a_world()
    fails(world, "a")
    event, at_us = world.history[-1]
    assert isinstance(event, AttemptFailed)
    world.history[-1] = (attrs.evolve(event, engine_id=""), at_us)
    world.job = attrs.evolve(world.job, failed_on=())
    check_fold(world)


def test_zero_means_never() -> None:
    """With poison switched off the attempts decide."""
    world = a_world(poison_engines=0)
    for engine_id in "abcdefgh":
        fails(world, engine_id)
    assert world.job.state is JobState.FAILED_RETRY
    assert world.now > SECOND
