"""The breaker: what speaks against an engine, when it is taken out, and what a trial says."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_core.kernel.fleet import decide_engine, evolve_engine
from dispatch_core.kernel.quarantine import (
    BLAMED,
    Breaker,
    Strike,
    failed_trial,
    fault_of_data,
    healed,
    on_trial,
    quarantined,
    strikes,
)
from dispatch_core.testing.samples import a_job, an_attempt, an_engine
from dispatch_core.vocabulary.attempts import Attempt, Outcome
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.commands import ProbeEngine, SetWanted
from dispatch_core.vocabulary.engines import Engine, Wanted, WantedState
from dispatch_core.vocabulary.events import EngineEvent, EngineWanted
from dispatch_core.vocabulary.jobs import FailedOn, JobError

NOW = 10_000 * SECOND_US
BREAKER = Breaker(
    failures=3, window_us=600 * SECOND_US, probe_us=300 * SECOND_US, probe_max_us=1_000 * SECOND_US
)
CLASSES = ("input", "engine", "resource", "timeout", "lost", "policy")
ENDS = st.sampled_from([*CLASSES, "completed", "given_back"])


def ended(number: int, end: str, ago_s: float = 0.0, granted_us: int = 0) -> Attempt:
    """An attempt of job ``number`` that ended so long ago: with a failure class, or with an outcome."""
    fields: dict[str, Any] = {"ended_us": NOW - round(ago_s * SECOND_US), "granted_us": granted_us}
    if end in CLASSES and end != "lost":
        fields |= {"outcome": Outcome.FAILED, "error": JobError(failure_class=end, message="no")}
    else:
        fields["outcome"] = Outcome.EXPIRED if end == "lost" else Outcome(end)
    return an_attempt(f"job-{number}", **fields)


def found(*attempts: Attempt, engine: Engine | None = None) -> list[str]:
    """The jobs that speak against an engine."""
    return [each.job_id for each in strikes(engine or an_engine(), attempts, NOW, BREAKER)]


def applied(engine: Engine, *events: EngineEvent, at_us: int = NOW) -> Engine:
    """The engine after events."""
    for event in events:
        engine = evolve_engine(engine, event, at_us)
    return engine


def in_quarantine(at_us: int = NOW) -> Engine:
    """An engine that was just taken out."""
    three = [Strike(f"job-{n}", "engine", at_us) for n in range(3)]
    return applied(an_engine(), quarantined(an_engine(), three, at_us, BREAKER), at_us=at_us)


@given(story=st.lists(st.tuples(st.integers(0, 4), ENDS, st.integers(0, 900)), max_size=15))
def test_strikes_are_distinct_jobs_since_the_last_success(story: list[tuple[int, str, int]]) -> None:
    """None is older than the window or than a success, none is twice, and all are of a class that engines answer for."""
    attempts = [ended(number, end, ago_s) for number, end, ago_s in story]
    against = strikes(an_engine(), attempts, NOW, BREAKER)
    success_us = max(
        (each.ended_us or 0 for each in attempts if each.outcome is Outcome.COMPLETED), default=0
    )
    assert len({each.job_id for each in against}) == len(against)
    assert all(each.failure_class in BLAMED for each in against)
    assert all(each.at_us > NOW - BREAKER.window_us and each.at_us >= success_us for each in against)
    assert [each.at_us for each in against] == sorted((each.at_us for each in against), reverse=True)
    telling = {
        f"job-{n}" for n, end, ago_s in story if end in ("engine", "resource", "timeout") and ago_s < 600
    }
    if not success_us:
        assert telling <= {each.job_id for each in against}


def test_a_success_ends_the_row() -> None:
    """What failed before it no longer counts."""
    assert found(ended(1, "engine", 3), ended(2, "completed", 2), ended(3, "engine", 1)) == ["job-3"]


def test_sources_that_cannot_be_read_and_hand_backs_say_nothing() -> None:
    """Nor do they end the row."""
    assert found(ended(1, "engine", 3), ended(2, "input", 2), ended(3, "given_back", 1)) == ["job-1"]


def test_one_silence_counts_once() -> None:
    """An engine with many slots whose network fails for a while is not taken out for it."""
    one = [ended(number, "lost", 100 + number / 10) for number in range(8)]
    assert found(*one) == ["job-0"]
    assert found(*one, ended(9, "lost", 0)) == ["job-9", "job-0"]


def test_what_happened_before_it_was_trusted_again_does_not_count() -> None:
    """An operator's word, or a trial, wipes the slate."""
    trusted = an_engine(trusted_us=NOW - 5 * SECOND_US)
    assert found(ended(1, "engine", 9), ended(2, "engine", 1), engine=trusted) == ["job-2"]


@pytest.mark.parametrize(("elsewhere", "blamed"), [("engine", True), ("input", True), ("lost", False)])
def test_the_data_is_to_blame_if_another_engine_told_the_same(elsewhere: str, blamed: bool) -> None:
    """One that vanished with the job told nothing."""
    job = a_job(failed_on=(FailedOn("other", elsewhere), FailedOn("e1", "engine")))
    assert fault_of_data(job, "e1") is blamed
    assert not fault_of_data(a_job(failed_on=(FailedOn("e1", "engine", 3),)), "e1")


def test_a_quarantine_names_its_reason_and_its_actor() -> None:
    """What the list of engines shows."""
    engine = in_quarantine()
    reason = "3 jobs in a row failed here that others could do (3 engine)"
    assert engine.wanted == Wanted(WantedState.QUARANTINED, reason, "dispatch")
    assert engine.due_us == NOW + 300 * SECOND_US
    assert (engine.serves, engine.slots) == (False, 1)


def test_each_trial_that_fails_doubles_the_wait_up_to_the_cap() -> None:
    """300, 600, 1000, 1000 seconds."""
    engine, now, waits = in_quarantine(), NOW, []
    for _ in range(4):
        assert engine.quarantine is not None
        waits.append(engine.quarantine.wait_us // SECOND_US)
        now = engine.quarantine.probe_at_us
        engine = applied(engine, *decide_engine(engine, ProbeEngine(engine_id="e"), "tick", "t"), at_us=now)
        assert engine.quarantine is not None
        assert engine.quarantine.probing
        assert engine.due_us is None
        event = failed_trial(engine, ended(1, "timeout", granted_us=now), now, BREAKER)
        assert event is not None
        engine = applied(engine, event, at_us=now)
    assert waits == [300, 600, 1_000, 1_000]


def test_only_what_was_let_through_is_a_trial() -> None:
    """Leases from before may still end one way or the other; an unreadable source decides nothing."""
    engine = in_quarantine()
    before, after = (ended(1, "engine", granted_us=us) for us in (NOW, NOW + 300 * SECOND_US))
    assert failed_trial(engine, before, NOW, BREAKER) is None
    assert failed_trial(engine, after, NOW, BREAKER) is not None
    assert failed_trial(engine, ended(1, "input", granted_us=NOW + 300 * SECOND_US), NOW, BREAKER) is None
    assert (on_trial(engine, before), on_trial(engine, after)) == (False, True)


def test_healing_and_an_operators_word_end_it() -> None:
    """The engine is trusted from then on; saying something of a trusted engine changes nothing of that."""
    engine = in_quarantine()
    (resumed,) = decide_engine(engine, SetWanted(engine_id="e", state=WantedState.ACTIVE), "ann", "t")
    for event in (healed("it works"), resumed):
        back = applied(engine, event, at_us=NOW + 7)
        assert (back.serves, back.quarantine, back.trusted_us) == (True, None, NOW + 7)
    plain = applied(an_engine(), EngineWanted(wanted=Wanted(WantedState.CORDONED)))
    assert plain.trusted_us == 0


def test_a_probe_that_comes_too_late_changes_nothing() -> None:
    """Somebody resumed the engine, or it is being tried already."""
    engine = in_quarantine()
    probing = applied(engine, *decide_engine(engine, ProbeEngine(engine_id="e"), "tick", "t"))
    for other in (an_engine(), probing, attrs.evolve(engine, quarantine=None)):
        assert decide_engine(other, ProbeEngine(engine_id="e"), "tick", "t") == ()
