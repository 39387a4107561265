"""Rules: pure, polite (a code, words and a mend for every refusal), and each about its own matter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from dispatch_core import (
    DEFAULT_RULES,
    TRANSCODE,
    Benchmark,
    EngineView,
    Profile,
    Reason,
    Rule,
    Seen,
    Wanted,
    WantedState,
)
from dispatch_core.kernel.scheduling.classes import Classifier, SchedulingClass
from dispatch_core.kernel.scheduling.rules import (
    AssignmentRule,
    CapabilityRule,
    MaintenanceRule,
    SizeRule,
    SoftwareRule,
)
from dispatch_core.testing import strategies as some
from dispatch_core.testing.samples import a_job, a_pulse, an_engine
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job, JobSize, JobSpec, Pin
from tests.core.conftest import MakeDispatcher
from tests.core.house import FACTS, claimed, spec, start

CLASSIFIER = Classifier({"transcode": TRANSCODE}, 1_000_000_000)
GOOD = Profile(facts=FACTS)


def met(rule: Rule, job: Job, engine: Engine, **pulse: Any) -> list[str]:
    """The codes of everything a rule says of a pair."""
    wanted = CLASSIFIER.of(job)
    view = EngineView(engine, a_pulse(engine.id, **pulse) if pulse else None)
    return [reason.code for reason in (*rule.admits(wanted, engine), *rule.fits(job, wanted, view))]


@settings(max_examples=60)
@given(spec=some.job_specs(), profile=some.profiles())
def test_every_rule_keeps_the_shared_laws(spec: JobSpec, profile: Profile) -> None:
    """Equal questions get equal answers; every reason has a kebab-case code, words and a mend; no preference is negative."""
    job, engine = a_job(spec=spec), an_engine(profile=profile)
    wanted = CLASSIFIER.of(job)
    view = EngineView(engine, a_pulse(disk_free_bytes=5_000_000))
    for rule in DEFAULT_RULES:
        answers = [
            (rule.admits(wanted, engine), rule.fits(job, wanted, view), rule.penalty_us(wanted, engine))
            for _ in "ab"
        ]
        assert answers[0] == answers[1]
        for reason in (*answers[0][0], *answers[0][1]):
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.code)
            assert reason.message
            assert reason.mend
        assert answers[0][2] >= 0
        assert re.fullmatch(r"[a-z-]+", rule.name)
    assert len({rule.name for rule in DEFAULT_RULES}) == len(DEFAULT_RULES)


@pytest.mark.checklist(15)
def test_capability_is_kind_and_steady_facts() -> None:
    """Kind, codec and required terms; volatile facts are read from the pulse; preferences never exclude."""
    rule = CapabilityRule()
    assert met(rule, a_job(spec=spec()), an_engine(profile=GOOD)) == []
    assert met(rule, a_job(spec=spec()), an_engine(profile=Profile(facts=FACTS, kinds=("render",)))) == [
        "not-capable"
    ]
    assert met(rule, a_job(spec=spec()), an_engine(profile=Profile())) == ["not-capable"]
    named = spec(parameters={"source": "a", "target": "b", "encoder": "libx265"})
    assert met(rule, a_job(spec=named), an_engine(profile=GOOD)) == ["not-capable"]
    assert met(rule, a_job(spec=spec(requirements=("prefer tag has fast",))), an_engine(profile=GOOD)) == []
    roomy = a_job(spec=spec(requirements=("disk_free_gb >= 2",)))
    assert met(rule, roomy, an_engine(profile=GOOD), disk_free_bytes=1_900_000_000) == ["not-capable"]
    assert met(rule, roomy, an_engine(profile=GOOD), disk_free_bytes=2_000_000_000) == []
    assert rule.fits(roomy, CLASSIFIER.of(roomy), EngineView(an_engine(profile=GOOD)))[0].volatile
    assert met(rule, roomy, an_engine(profile=GOOD)) == ["not-capable"], (
        "an engine that does not say, has not"
    )


def test_a_preference_costs_a_minute_each() -> None:
    """Every preferred term an engine does not meet is worth sixty seconds of waiting."""
    wanted = CLASSIFIER.of(
        a_job(spec=spec(requirements=("prefer tag has fast", "prefer ffmpeg >= 9", "prefer os == x")))
    )
    engine = an_engine(profile=Profile(facts={**FACTS, "tag": ("fast",)}))
    assert CapabilityRule().penalty_us(wanted, engine) == 2 * 60_000_000


@pytest.mark.checklist(39)
def test_software_is_version_terms() -> None:
    """Version terms are its matter alone, and it says so in its code."""
    job = a_job(spec=spec(requirements=("ffmpeg >= 6.1", "ffmpeg < 8", "cpus >= 64", "prefer ffmpeg >= 99")))
    for version, reasons in (("6.1", 0), ("7.9", 0), ("6.0", 1), ("8.0.0", 1)):
        found = met(SoftwareRule(), job, an_engine(profile=Profile(facts={**FACTS, "ffmpeg": version})))
        assert found == ["software-version"] * reasons
    assert met(SoftwareRule(), job, an_engine(profile=Profile())) == ["software-version"] * 2


def test_size_is_large_jobs_maximum_and_disk() -> None:
    """A large job wants streaming; every job fits the engine's own maximum and its free disk, to the byte."""

    def sized(size: int | None) -> Job:
        return a_job(spec=spec(size=JobSize(size_bytes=size)))

    plain = an_engine(profile=Profile(facts={**FACTS, "streaming": False}, size_bytes_max=2_000_000_000))
    assert met(SizeRule(), sized(999_999_999), plain) == []
    assert met(SizeRule(), sized(1_000_000_000), plain) == ["not-streaming"]
    streaming = an_engine(profile=Profile(facts=FACTS, size_bytes_max=2_000_000_000))
    assert met(SizeRule(), sized(2_000_000_000), streaming) == []
    assert met(SizeRule(), sized(2_000_000_001), streaming) == ["too-large"]
    assert met(SizeRule(), sized(100), streaming, disk_free_bytes=99) == ["disk-full"]
    assert met(SizeRule(), sized(100), streaming, disk_free_bytes=100) == []
    assert met(SizeRule(), sized(None), streaming, disk_free_bytes=0) == []


@pytest.mark.parametrize("seen", Seen)
@pytest.mark.parametrize("state", WantedState)
def test_only_a_live_engine_that_is_wanted_gets_work(seen: Seen, state: WantedState) -> None:
    """Each of the two fields has its own reason."""
    engine = an_engine(profile=GOOD, seen=seen, wanted=Wanted(state, "why"))
    expected = ([] if state is WantedState.ACTIVE else ["maintenance"]) + (
        [] if seen is Seen.LIVE else ["offline"]
    )
    assert met(MaintenanceRule(), a_job(spec=spec()), engine) == expected


def test_assignment_is_pin_and_tenant() -> None:
    """A pinned job goes to its engine only; engines serve their own tenant."""
    engine = an_engine("e1", profile=GOOD)
    assert met(AssignmentRule(), a_job(spec=spec(), pin=Pin("e1")), engine) == []
    assert met(AssignmentRule(), a_job(spec=spec(), pin=Pin("e2")), engine) == ["pinned"]
    assert met(AssignmentRule(), a_job(spec=spec(), tenant="other"), engine) == ["other-tenant"]


class CountingRule:
    """Refuses nothing and counts how often it is asked."""

    name = "counting"

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        self.asked.append((wanted.id, engine.version))
        return ()

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        return ()

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        return 0


@pytest.mark.checklist(37)
@pytest.mark.checklist(49)
def test_class_verdicts_are_remembered_by_engine_version(make_dispatcher: MakeDispatcher) -> None:
    """A class is judged once per version of an engine, however many jobs and claims there are."""
    rule = CountingRule()
    dispatcher = make_dispatcher(rules=(*DEFAULT_RULES, rule))
    start(dispatcher, slots=50)
    dispatcher.submit_many([spec(), spec(), spec(requirements=("ffmpeg >= 6",)), spec()])
    for _ in range(2):
        claimed(dispatcher)
    assert sorted(version for _, version in rule.asked) == [1, 1]
    dispatcher.report_benchmark("e1", [Benchmark(task_class="h264/1080p/encode", units_per_s=1)])
    claimed(dispatcher)
    assert sorted(version for _, version in rule.asked) == [1, 1, 2, 2]
    assert len(rule.asked) == len(set(rule.asked))


def test_a_rule_of_ones_own_is_obeyed(make_dispatcher: MakeDispatcher) -> None:
    """What is passed in ``rules=`` decides, and explains itself."""

    class EvenOnly(CountingRule):
        name = "even-only"

        def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
            return () if job.spec.priority % 2 == 0 else [Reason("odd", "is odd", "an even priority")]

    dispatcher = make_dispatcher(rules=(*DEFAULT_RULES, EvenOnly()))
    start(dispatcher)
    odd, even = dispatcher.submit_many([spec(priority=1), spec(priority=0)])
    assert claimed(dispatcher, limit=4) == [even.id]
    assert [reason.code for reason in dispatcher.explain(odd.id).engines[0].reasons] == ["odd"]
