"""Why a job waits: one word, and under it only what is true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dispatch_core import (
    Benchmark,
    Dispatcher,
    JobError,
    JobSize,
    JobVerdict,
    ManualClock,
    Profile,
    Reason,
    Retry,
    SeededIds,
    StartEstimate,
    Storage,
    StrictPolicy,
)
from dispatch_core.kernel.scheduling.severity import Severity, severity_of
from dispatch_core.shell.explaining import LINES_ROWS_MAX
from dispatch_core.storage import create_storage
from dispatch_core.testing import strategies as some
from tests.core.conftest import MakeDispatcher
from tests.core.house import claim, claimed, spec, start, stored

V = JobVerdict


def codes(dispatcher: Dispatcher, job_id: str, engine_id: str = "e1") -> set[str]:
    """What keeps a job from one engine."""
    (answer,) = dispatcher.explain(job_id, engine_id).engines
    return {reason.code for reason in answer.reasons}


@pytest.mark.checklist(95)
def test_never(dispatcher: Dispatcher) -> None:
    """No engine at all, or none that could ever run it: the words name what is missing and how to mend it."""
    job = dispatcher.submit(spec(requirements=("ffmpeg >= 99",)))
    assert dispatcher.explain(job.id).verdict is V.NEVER
    assert dispatcher.explain(job.id).unblock == "start an engine"
    start(dispatcher)
    explanation = dispatcher.explain(job.id)
    assert explanation.verdict is V.NEVER
    assert "ffmpeg" in explanation.summary
    assert explanation.unblock == "an engine with ffmpeg >= 99"
    assert codes(dispatcher, job.id) == {"software-version"}
    start(dispatcher, facts={"codec": ("h264",), "ffmpeg": "99.0"})
    assert claimed(dispatcher) == [job.id]


@pytest.mark.checklist(95)
def test_offline(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """An engine that is cordoned or silent could run it: resuming it, or its return, is the mend."""
    job = dispatcher.submit(spec())
    start(dispatcher)
    dispatcher.cordon("e1", reason="disk swap")
    assert (dispatcher.explain(job.id).verdict, codes(dispatcher, job.id)) == (V.OFFLINE, {"maintenance"})
    assert "resume e1" in dispatcher.explain(job.id).unblock
    clock.advance(31)  # past the pause after a start
    dispatcher.tick()
    assert codes(dispatcher, job.id) == {"maintenance", "offline"}
    dispatcher.resume("e1")
    assert (dispatcher.explain(job.id).verdict, codes(dispatcher, job.id)) == (V.OFFLINE, {"offline"})
    dispatcher.heartbeat("e1", session="s1")
    assert claimed(dispatcher) == [job.id]


def test_busy(dispatcher: Dispatcher) -> None:
    """Every capable engine has all slots taken; one free slot ends it."""
    start(dispatcher, slots=1)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    job = dispatcher.submit(spec())
    assert (dispatcher.explain(job.id).verdict, codes(dispatcher, job.id)) == (V.BUSY, {"busy"})
    assert dispatcher.preview("e1").reasons[0].code == "busy"
    dispatcher.complete(lease)
    assert claimed(dispatcher) == [job.id]


def test_outranked_and_next(dispatcher: Dispatcher) -> None:
    """A free engine takes the first; the second knows who is before it and its place in the row."""
    start(dispatcher)
    first, second = dispatcher.submit_many([spec(), spec()])
    explanation = dispatcher.explain(second.id)
    assert (explanation.verdict, explanation.position) == (V.OUTRANKED, 2)
    assert first.id in explanation.engines[0].reasons[0].message
    assert explanation.engines[0].admits
    assert dispatcher.explain(first.id).verdict is V.NEXT
    assert dispatcher.preview("e1").chosen is not None
    dispatcher.cancel(first.id)
    assert (dispatcher.explain(second.id).verdict, dispatcher.explain(second.id).position) == (V.NEXT, 1)
    assert claimed(dispatcher) == [second.id]


def test_outranked_by_priority_says_so(make_dispatcher: MakeDispatcher) -> None:
    """Where bands decide, the reason speaks of priority and not of a lateness that is the other way round."""
    dispatcher = make_dispatcher(policy=StrictPolicy())
    start(dispatcher)
    early = dispatcher.submit(spec())
    late = dispatcher.submit(spec(priority=5))
    (reason,) = dispatcher.explain(early.id).engines[0].reasons
    assert reason.code == "outranked"
    assert late.id in reason.message
    assert "-" not in reason.message.replace(late.id, "")


def test_limited(dispatcher: Dispatcher) -> None:
    """On hold, or pinned to an engine that cannot take it now."""
    start(dispatcher)
    held, pinned = dispatcher.submit_many([spec(hold=True), spec()])
    assert dispatcher.explain(held.id).verdict is V.LIMITED
    assert dispatcher.explain(held.id).unblock == "release it"
    dispatcher.assign(pinned.id, "e2")
    assert (dispatcher.explain(pinned.id).verdict, codes(dispatcher, pinned.id)) == (V.LIMITED, {"pinned"})
    dispatcher.assign(pinned.id, None)
    dispatcher.release(held.id)
    assert set(claimed(dispatcher, limit=2)) == {held.id, pinned.id}


def test_waiting_running_ended(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Not-before and back-off, a lease, a cancel asked, and each end."""
    start(dispatcher)
    later = dispatcher.submit(spec(not_before_us=clock.now_us() + 60_000_000))
    assert dispatcher.explain(later.id).verdict is V.WAITING
    assert "not-before" in dispatcher.explain(later.id).summary
    job = dispatcher.submit(spec())
    lease = claim(dispatcher)
    assert dispatcher.explain(job.id).verdict is V.RUNNING
    assert "e1 runs attempt 1" in dispatcher.explain(job.id).summary
    dispatcher.fail(lease, JobError(failure_class="engine", message="boom"))
    explanation = dispatcher.explain(job.id)
    assert explanation.verdict is V.WAITING
    assert "back-off" in explanation.summary
    assert "boom" in explanation.summary
    dispatcher.requeue(job.id)
    lease = claim(dispatcher)
    dispatcher.cancel(job.id)
    assert "asked to stop" in dispatcher.explain(job.id).summary
    dispatcher.give_back(lease)
    assert dispatcher.explain(job.id).verdict is V.ENDED
    assert dispatcher.explain(job.id).engines[0].engine_id == "e1"


def test_a_late_report_is_waited_for(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """The last permitted attempt, expired: waiting, and for what."""
    start(dispatcher)
    clock.advance(31)
    dispatcher.tick()
    job = dispatcher.submit(spec(retry=Retry(max_attempts=1)))
    dispatcher.heartbeat("e1", session="s1")
    claim(dispatcher)
    clock.advance(30)
    dispatcher.tick()
    assert dispatcher.explain(job.id).verdict is V.WAITING
    assert "late report" in dispatcher.explain(job.id).summary


def test_the_nearest_engine_and_the_job_itself_could_change(dispatcher: Dispatcher) -> None:
    """Never: what the engine with the fewest lacks needs, and which requirement the job could do without."""
    start(dispatcher, "far", facts={"codec": ("av1",), "ffmpeg": "5.0"})
    start(dispatcher, "near", facts={"codec": ("h264",), "ffmpeg": "5.0"})
    job = dispatcher.submit(spec(requirements=("ffmpeg >= 6", "codec has h264")))
    explanation = dispatcher.explain(job.id)
    assert (explanation.verdict, explanation.nearest) == (V.NEVER, "near")
    assert explanation.unblock == "an engine with ffmpeg >= 6"
    assert explanation.instead == ("drop its requirement ffmpeg >= 6: near could run it",)
    assert explanation.start is None
    assert explanation.position is None
    both = dispatcher.submit(spec(requirements=("ffmpeg >= 6", "memory_gb >= 64")))
    (instead,) = dispatcher.explain(both.id).instead
    assert instead == "drop its requirements ffmpeg >= 6, memory_gb >= 64: near could run it"


def test_the_hardest_reason_stands_first(dispatcher: Dispatcher) -> None:
    """Never before offline before limited before busy; a code nobody knows counts as never, or as a limit if it moves."""
    start(dispatcher, slots=1)
    dispatcher.submit(spec())
    claim(dispatcher)
    job = dispatcher.submit(spec(requirements=("ffmpeg >= 99",)))
    dispatcher.assign(job.id, "e2")
    dispatcher.cordon("e1")
    (answer,) = dispatcher.explain(job.id).engines
    assert [each.code for each in answer.reasons] == ["software-version", "maintenance", "pinned", "busy"]
    assert severity_of(Reason("own-rule", "is blue")) is Severity.NEVER
    assert severity_of(Reason("own-limit", "is full", volatile=True)) is Severity.LIMITED


def test_a_job_that_is_left_to_a_better_engine_says_so(make_dispatcher: MakeDispatcher) -> None:
    """The slow engine is free: where the job will be done, when, and how long it would take here."""
    dispatcher = make_dispatcher()
    for name, speed in (("fast", 10.0), ("slow", 1.0)):
        cells = (Benchmark(task_class="h264/1080p/encode", units_per_s=speed),)
        start(dispatcher, name, slots=1, benchmarks=cells)
        assert claimed(dispatcher, name) == []
    size = JobSize(duration_us=100_000_000, height=1_080)
    dispatcher.submit(spec(size=size))
    assert claimed(dispatcher, "fast")
    job = dispatcher.submit(spec(size=size))
    explanation = dispatcher.explain(job.id)
    (reason,) = explanation.engines[1].reasons
    assert reason.code == "waits-for-better"
    assert reason.message.startswith("is left to fast: done there in 2")
    assert reason.message.endswith("s run), here in 100 s")
    assert (explanation.verdict, explanation.nearest) == (V.OUTRANKED, "slow")
    assert explanation.summary == f"it {reason.message}"
    assert explanation.unblock == "wait, or pin it to slow"
    assert dispatcher.preview("slow").refused == {"waits-for-better": 1}
    assert claimed(dispatcher, "slow") == []
    dispatcher.assign(job.id, "slow")
    assert claimed(dispatcher, "slow") == [job.id]


def test_a_start_is_estimated_from_what_runs_and_what_waits(
    dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """One slot, a run of 60 s, one job of 60 s before it: about two minutes, more or less."""
    cells = (Benchmark(task_class="h264/1080p/encode", units_per_s=1.0),)
    start(dispatcher, slots=1, benchmarks=cells)
    size = JobSize(duration_us=60_000_000, height=1_080)
    first, _, third = dispatcher.submit_many([spec(size=size)] * 3)
    told = dispatcher.explain(first.id)
    assert told.start == StartEstimate(
        p10_us=told.at_us, p50_us=told.at_us, p90_us=told.at_us, engines=("e1",)
    )
    assert claimed(dispatcher) == [first.id]
    told = dispatcher.explain(third.id)
    assert (told.verdict, told.position, told.position_exact) == (V.BUSY, 2, True)
    assert told.start is not None
    assert told.start.engines == ("e1",)
    assert 115_000_000 < told.start.p50_us - told.at_us < 130_000_000
    assert told.start.p10_us < told.start.p50_us < told.start.p90_us < told.at_us + 250_000_000
    dispatcher.hold(third.id)
    assert dispatcher.explain(third.id).start is None
    later = dispatcher.submit(spec(size=size, not_before_us=clock.now_us() + 3_600_000_000))
    told = dispatcher.explain(later.id)
    assert told.start is not None
    assert told.start.p50_us == clock.now_us() + 3_600_000_000


def test_a_place_far_behind_is_told_as_at_least(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Only so many are looked at; the start rests on what the outlook knows of the rest."""
    start(dispatcher, slots=1)
    dispatcher.submit_many([spec()] * (LINES_ROWS_MAX + 50))
    clock.advance(1)
    last = dispatcher.submit(spec())
    told = dispatcher.explain(last.id)
    assert (told.position, told.position_exact) == (LINES_ROWS_MAX + 1, False)
    assert told.start is not None
    assert told.start.p50_us > told.at_us


def test_a_question_reads_little_of_the_backlog(
    storage: Storage, make_dispatcher: MakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait: no counting of the backlog, and no more rows than are told of, in a handful of calls."""
    dispatcher = make_dispatcher()
    start(dispatcher, slots=1)
    jobs = dispatcher.submit_many([spec(priority=number % 3) for number in range(900)])
    assert claimed(dispatcher)
    with storage.read() as snapshot:
        kind = type(snapshot)
    calls: Counter[str] = Counter()
    for name in ("buckets", "find", "heads", "history", "load", "open_attempts", "tally"):
        monkeypatch.setattr(kind, name, counted(name, getattr(kind, name), calls))
    assert dispatcher.explain(jobs[-1].id).verdict is V.BUSY
    rows, heads = calls.pop("rows"), calls.pop("heads")
    assert rows <= LINES_ROWS_MAX + 1
    assert heads <= 2
    assert calls == {"buckets": 1, "find": 2, "load": 2, "open_attempts": 1}


def counted(name: str, method: Callable[..., Any], calls: Counter[str]) -> Callable[..., Any]:
    """A method whose calls are counted, and the rows that heads have."""

    def call(*arguments: Any, **named: Any) -> Any:
        calls[name] += 1
        found = method(*arguments, **named)
        if name == "heads":
            calls["rows"] += sum(map(len, found.values()))
        return found

    return call


@settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32), profiles=st.lists(some.profiles(), min_size=2, max_size=3), data=st.data())
def test_every_reason_is_true(seed: int, profiles: list[Profile], data: st.DataObject) -> None:
    """No reason: the engine's next claim gets the job. A reason: the claim does not, and each code is a fact."""
    random, clock = Random(seed), ManualClock()
    storage = create_storage("memory:", clock=clock)
    dispatcher = Dispatcher(storage, ids=SeededIds(seed))
    for number, profile in enumerate(profiles):
        dispatcher.register(f"e{number}", profile, session="s")
    specs = data.draw(st.lists(some.job_specs(limits=False), min_size=1, max_size=12))
    dispatcher.submit_many(specs)
    for number in range(len(profiles)):
        match random.randrange(3):
            case 0:
                dispatcher.cordon(f"e{number}")
            case 1:
                dispatcher.claim(f"e{number}", session="s")
            case _:
                pass
    waiting = [each.id for each in stored(storage) if each.claimable]
    for job_id in random.sample(waiting, len(waiting) // 3):
        dispatcher.assign(job_id, "e0")
    for job in [each for each in stored(storage) if each.claimable]:
        explanation = dispatcher.explain(job.id)
        for answer in explanation.engines:
            chosen = dispatcher.preview(answer.engine_id).chosen
            free = not answer.reasons
            assert (chosen is not None and chosen.job_id == job.id) is free
            _check_reasons(dispatcher, job.id, answer.engine_id, {reason.code for reason in answer.reasons})
        assert (explanation.verdict is V.NEXT) is any(not answer.reasons for answer in explanation.engines)
    for number in range(len(profiles)):
        chosen = dispatcher.preview(f"e{number}").chosen
        granted = [lease.job.id for lease in dispatcher.claim(f"e{number}", session="s")]
        assert granted == ([] if chosen is None else [chosen.job_id])
    dispatcher.close()


def _check_reasons(dispatcher: Dispatcher, job_id: str, engine_id: str, found: set[str]) -> None:
    """Each code against the records themselves."""
    job, status = dispatcher.job(job_id), dispatcher.engine(engine_id)
    profile = status.engine.profile
    assert ("maintenance" in found) is (status.engine.wanted.state != "active")
    assert ("busy" in found) is (len(status.attempts) >= profile.slots)
    assert ("pinned" in found) is (job.pin is not None and job.pin.engine_id != engine_id)
    assert ("too-large" in found) is ((job.spec.size.size_bytes or 0) > (profile.size_bytes_max or 2**63))
    codecs = profile.facts["codec"]
    assert isinstance(codecs, tuple)
    if job.spec.parameters["codec"] not in codecs:
        assert "not-capable" in found


def test_removing_the_reasons_makes_it_grantable(dispatcher: Dispatcher) -> None:
    """Do what each reason says: at the end the job is granted."""
    start(
        dispatcher, facts={"codec": ("hevc",), "ffmpeg": "5.0", "streaming": True}, size_bytes_max=10, slots=1
    )
    dispatcher.submit(spec(parameters={"source": "a", "target": "b", "codec": "hevc"}))
    lease = claim(dispatcher)
    job = dispatcher.submit(spec(requirements=("ffmpeg >= 6",), size=JobSize(size_bytes=11)))
    dispatcher.assign(job.id, "e2")
    dispatcher.cordon("e1")
    expected = ["not-capable", "software-version", "too-large", "maintenance", "pinned", "busy"]
    assert codes(dispatcher, job.id) == set(expected)
    mends: list[Callable[[], object]] = [
        lambda: start(dispatcher, facts={"codec": ("h264",), "ffmpeg": "5.0"}, size_bytes_max=10, slots=1),
        lambda: start(dispatcher, facts={"codec": ("h264",), "ffmpeg": "6.0"}, size_bytes_max=10, slots=1),
        lambda: start(dispatcher, facts={"codec": ("h264",), "ffmpeg": "6.0"}, size_bytes_max=11, slots=1),
        lambda: dispatcher.resume("e1"),
        lambda: dispatcher.assign(job.id, "e1"),
        lambda: dispatcher.complete(lease),
    ]
    for done, mend in enumerate(mends, 1):
        assert claimed(dispatcher) == []
        mend()
        assert codes(dispatcher, job.id) == set(expected[done:])
    assert claimed(dispatcher) == [job.id]
