"""Capability: the engine runs this kind, and its facts meet the job's terms."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.rules.rule import EngineView
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.facts import VOLATILE_FACTS, FactType, FactValue, Term
from dispatch_core.vocabulary.jobs import Job

PREFERENCE_US = 60 * SECOND_US
"""What an unmet preferred term is worth: the job counts as one minute less late on that engine."""


class CapabilityRule:
    """Required terms over text, numbers, flags and sets; version terms are the software rule's."""

    name = "capability"

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """The kind and every steady fact."""
        reasons = [
            unmet(term, engine.profile.facts.get(term.fact)) for term in _required(wanted) if _steady(term)
        ]
        if wanted.kind not in engine.profile.kinds:
            message = f"runs {', '.join(engine.profile.kinds)}, not {wanted.kind}"
            reasons.append(Reason("not-capable", message, f"an engine that runs {wanted.kind}"))
        return [reason for reason in reasons if reason]

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """The facts that move with each heartbeat."""
        if not wanted.moving:
            return ()
        facts = ((term, view.fact(term.fact)) for term in wanted.moving)
        return [reason for term, value in facts if (reason := unmet(term, value, volatile=True))]

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """One minute per preferred term it does not meet."""
        preferred = [term for term in wanted.terms if term.preferred]
        return PREFERENCE_US * sum(not term.holds(engine.profile.facts.get(term.fact)) for term in preferred)


def _required(wanted: SchedulingClass) -> list[Term]:
    return [term for term in wanted.terms if not term.preferred and term.type is not FactType.VERSION]


def _steady(term: Term) -> bool:
    return term.fact not in VOLATILE_FACTS


def unmet(term: Term, value: FactValue | None, *, volatile: bool = False) -> Reason | None:
    """Why a term does not hold, or None if it does."""
    if term.holds(value):
        return None
    has = "does not say" if value is None else f"has {_shown(value)}"
    return Reason(
        "not-capable", f"needs {term.text}; {term.fact}: {has}", f"an engine with {term.text}", volatile
    )


def _shown(value: FactValue) -> str:
    if isinstance(value, tuple):
        return ", ".join(value[:8]) + (f" and {len(value) - 8} more" if len(value) > 8 else "")
    return f"{value:g}" if isinstance(value, float) else str(value)
