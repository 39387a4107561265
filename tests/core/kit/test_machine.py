"""The fleet machine with a kind, a rule and a judge of an embedder's own finds a mistake planted in the rule."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from hypothesis.strategies import SearchStrategy

from dispatch_core import (
    DEFAULT_RULES,
    Dispatcher,
    Edit,
    Engine,
    EngineView,
    FifoPolicy,
    InvariantError,
    Job,
    JobKind,
    JobSpec,
    Lease,
    Profile,
    Reason,
    Rule,
    SchedulingClass,
)
from dispatch_core.testing import strategies as some
from dispatch_core.testing.machine import FleetMachine

SCAN = JobKind(name="scan")
PLACES: some.Values = {"tag": ("in-house",)}


class ConfidentialRule:
    """Confidential scans stay on engines tagged in-house."""

    name = "confidential"

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """Nothing: a class knows no parameters."""
        return ()

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """What keeps this job from this engine."""
        if not self.concerns(job) or "in-house" in (view.fact("tag") or ()):  # type: ignore[operator]  # a set
            return ()
        return [
            Reason(
                "confidential", "is confidential; the engine is not in the house", "an engine in the house"
            )
        ]

    def concerns(self, job: Job) -> bool:
        """Whether a job is confidential."""
        return bool(job.spec.parameters["confidential"])

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """No preference."""
        return 0


class ForgetfulRule(ConfidentialRule):
    """The planted mistake: a job that something has happened to since its submit is taken for harmless."""

    def concerns(self, job: Job) -> bool:
        """Whether a job is confidential, and new."""
        return super().concerns(job) and job.version == 1


class ScanFleet(FleetMachine):
    """The fleet of the scanners."""

    kinds = (SCAN,)
    policy = FifoPolicy()
    rules_in_use: Sequence[Rule] = (*DEFAULT_RULES, ConfidentialRule())

    def job_specs(self) -> SearchStrategy[JobSpec]:
        """Scans, half of them confidential."""
        return some.job_specs(
            kind=SCAN, parameters={"confidential": st.booleans()}, limits=False, holds=False, ladders=False
        )

    def profiles(self) -> SearchStrategy[Profile]:
        """Engines, in the house or not."""
        return some.profiles(kind=SCAN, facts=PLACES)

    def capable(self) -> Profile:
        """One in the house."""
        return some.capable(kind=SCAN, facts=PLACES)

    @precondition(lambda self: self.jobs)
    @rule()
    def night_shift(self) -> None:
        """What is left of the day becomes urgent, and every engine asks."""
        for job_id in self.jobs:
            self.call(0, partial(Dispatcher.update, job_id=job_id, edit=Edit(priority=9)))
        for name in sorted(self.engines):
            self.claim_as(0, self.engines[name], 3)

    def judge_grant(self, lease: Lease, profile: Profile) -> None:
        """No confidential scan leaves the house, whatever the rule says."""
        super().judge_grant(lease, profile)
        if lease.job.spec.parameters["confidential"] and "in-house" not in profile.facts.get("tag", ()):  # type: ignore[operator]  # a set
            raise InvariantError(f"{lease.job.id} left the house")


class ForgetfulFleet(ScanFleet):
    """The same with the mistake."""

    rules_in_use = (*DEFAULT_RULES, ForgetfulRule())


def test_a_planted_mistake_is_found() -> None:
    """It needs a submit, then an edit, a failure or the like, then a claim from outside: a machine finds that."""
    some_runs = settings(
        max_examples=300, stateful_step_count=40, database=None, deadline=None, phases=[Phase.generate]
    )
    with pytest.raises(InvariantError, match="left the house"):
        run_state_machine_as_test(seed(7)(ForgetfulFleet), settings=some_runs)


TestScanFleet = ScanFleet.TestCase
TestScanFleet.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
