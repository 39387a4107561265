"""Software: version terms such as ``ffmpeg >= 6.1``."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.rules.capability import unmet
from dispatch_core.kernel.scheduling.rules.rule import EngineView
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.facts import FactType
from dispatch_core.vocabulary.jobs import Job


class SoftwareRule:
    """Every required version term holds for what the engine probed."""

    name = "software"

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        """All version terms."""
        versions = [term for term in wanted.terms if term.type is FactType.VERSION and not term.preferred]
        found = [unmet(term, engine.profile.facts.get(term.fact)) for term in versions]
        return [attrs.evolve(reason, code="software-version") for reason in found if reason]

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """Versions do not move between registrations."""
        return ()

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        """Preferred terms are the capability rule's."""
        return 0
