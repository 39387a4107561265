"""Ids, instants and job values."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_core import Job, JobSize, JobSpec, JobState, ManualClock, Pin, RandomIds, SeededIds, SystemClock
from dispatch_core.testing.samples import a_job, an_attempt
from dispatch_core.vocabulary.clock import SECOND_US, from_datetime, to_datetime, to_us
from dispatch_core.vocabulary.events import Event, name_of
from dispatch_core.vocabulary.ids import crockford

GRAMMAR = re.compile(r"job-[0-7][0-9a-hjkmnp-tv-z]{25}")


def test_a_random_id_has_128_bits_and_a_grammar() -> None:
    """26 digits of Crockford base32, the first one small: 128 bits, lower case, no i, l, o or u."""
    ids = [RandomIds().new("job") for _ in range(2_000)]
    assert all(GRAMMAR.fullmatch(each) for each in ids)
    assert len(set(ids)) == 2_000
    for place in range(5, 30):  # every digit but the first takes every value: no bits are fixed
        assert len(Counter(each[place] for each in ids)) == 32
    assert len({each[4] for each in ids}) == 8


def test_the_same_seed_gives_the_same_ids() -> None:
    """A seeded row repeats to the byte; another seed gives another row."""
    rows = [[SeededIds(seed).new("job") for _ in range(1)] for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]
    source = SeededIds(7)
    row = [source.new("job") for _ in range(1_000)]
    assert len(set(row)) == 1_000
    assert all(GRAMMAR.fullmatch(each) for each in row)


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_base32_keeps_the_order_of_numbers(one: int, other: int) -> None:
    """Texts of equal length sort as the numbers do, so ids of equal numbers are equal and of others are not."""
    assert (crockford(one) < crockford(other)) is (one < other)
    assert len(crockford(one)) == 26


INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  # the zone is drawn


@given(INSTANTS, st.integers(-14 * 60, 14 * 60))
def test_instants_go_to_datetimes_and_back(instant: datetime, offset_min: int) -> None:
    """Microseconds survive, whatever zone the datetime is written in."""
    us = from_datetime(instant)
    assert to_datetime(us) == instant
    assert from_datetime(instant.astimezone(timezone(timedelta(minutes=offset_min)))) == us
    assert to_datetime(us).tzinfo is UTC


def test_a_naive_datetime_is_refused() -> None:
    """Nobody guesses a zone."""
    with pytest.raises(ValueError, match="time zone"):
        from_datetime(datetime(2030, 1, 1))  # noqa: DTZ001  # a naive one is the point


@given(st.integers(-(10**15), 10**15))
def test_whole_microseconds_survive_seconds(us: int) -> None:
    """A span of microseconds given in seconds comes back exactly (to about 285 years)."""
    assert to_us(us / SECOND_US) == us


def test_a_manual_clock_jumps_without_time_passing() -> None:
    """``advance`` moves both clocks, ``jump`` only the wall clock: that is how a jump is told from a wait."""
    clock = ManualClock()
    start = clock.now_us()
    clock.advance(1.5)
    assert (clock.now_us() - start, clock.monotonic_us()) == (1_500_000, 1_500_000)
    clock.jump(-10)
    assert (clock.now_us() - start, clock.monotonic_us()) == (-8_500_000, 1_500_000)


def test_the_system_clock_is_the_machines() -> None:
    """Microseconds since the epoch; its monotonic companion never goes back."""
    clock = SystemClock()
    assert abs(to_datetime(clock.now_us()) - datetime.now(UTC)) < timedelta(seconds=5)
    assert clock.monotonic_us() <= clock.monotonic_us()


def test_what_a_job_waits_for_is_its_timer() -> None:
    """Each state has its own timer; in waiting states a pin's end may come first; the ended wait for nothing."""
    times: dict[str, Any] = {
        "ttl_at_us": 10,
        "retry_at_us": 20,
        "grace_at_us": 30,
        "spec": JobSpec(not_before_us=40),
    }
    own = {JobState.PENDING: 10, JobState.FAILED_RETRY: 20, JobState.ASSIGNED: 30, JobState.DELAYED: 40}
    for state in JobState:
        job: Job = a_job(state=state, **times)
        assert job.due_us == own.get(state)
        pinned: Job = a_job(state=state, pin=Pin("e", 5), **times)
        assert pinned.due_us == (30 if state is JobState.ASSIGNED else own.get(state) and 5)
        assert a_job(state=state, deleted_us=1, **times).due_us is None
    assert a_job(pin=Pin("e")).due_us is None


def test_only_a_pending_job_that_is_neither_held_nor_deleted_is_claimable() -> None:
    """``claimable`` is what gives a job its lane."""
    assert [state for state in JobState if a_job(state=state).claimable] == [JobState.PENDING]
    assert not a_job(held="").claimable
    assert not a_job(deleted_us=1).claimable


def test_an_attempts_first_end_is_its_timer() -> None:
    """Lease end, run limit or no-progress limit, whichever is first; none once it has ended."""
    attempt = an_attempt(deadline_us=100, run_until_us=90, stall_us=50, progress_at_us=30)
    assert (attempt.stalls_at_us, attempt.due_us) == (80, 80)
    assert an_attempt(deadline_us=100, run_until_us=90).due_us == 90
    assert an_attempt(deadline_us=100).due_us == 100
    assert an_attempt(deadline_us=100, ended_us=7).due_us is None
    assert an_attempt("job-9", 4).key == "job-9/4"
    assert an_attempt("job-9", 4).token == "inc.4"


def test_what_is_unknown_of_a_size_is_none() -> None:
    """A size says nothing it was not told: zero is a measure, None is not."""
    assert JobSize() == JobSize(size_bytes=None, duration_us=None, width=None, height=None, frames=None)
    assert JobSize(size_bytes=0) != JobSize()


def test_events_have_stable_names() -> None:
    """Names in stored history are the kebab-case class names: changing one breaks old stores."""
    assert sorted(name_of(event) for event in Event.__args__) == [
        "access-denied", "attempt-failed", "cancel-asked", "engine-benchmarked", "engine-healed", "engine-probed",
        "engine-quarantined", "engine-registered", "engine-seen", "engine-wanted",
        "hold-released", "job-cancelled", "job-completed", "job-deleted", "job-due", "job-edited", "job-failed",
        "job-fell-back", "job-granted", "job-held", "job-pinned", "job-purged", "job-requeued", "job-restored", "job-submitted",
        "key-created", "key-revoked", "key-rotated", "lease-expired",
        "lease-given-back", "lease-resumed", "limit-deleted", "limit-exceeded", "limit-set", "pin-ended",
        "pool-created", "pool-deleted", "pool-edited", "pool-reported", "timer-restamped",
        "window-ended", "window-planned",
    ]  # fmt: skip
