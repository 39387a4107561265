"""Scheduling classes: jobs no rule can tell apart. A claim looks at classes, not at jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from attrs import frozen

from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError
from dispatch_core.vocabulary.facts import VOLATILE_FACTS, Catalogue, FactType, Term, parse_term
from dispatch_core.vocabulary.ids import crockford
from dispatch_core.vocabulary.jobs import Job, JobSpec, LimitUse
from dispatch_core.vocabulary.kinds import JobKind

_REMEMBERED_MAX = 10_000
_MEASURED_MAX = 50_000


@frozen(kw_only=True)
class SchedulingClass:
    """What its jobs share: owner, kind, task class, requirement terms, pool, limits, and whether they count as large.

    ``nominal_us`` is the kind's guess for one unit of work, where no engine says better; ``moving`` are the
    required terms over facts that move with each heartbeat.
    """

    id: str
    tenant: str
    kind: str
    task_class: str
    terms: tuple[Term, ...]
    large: bool
    pool: str | None = None
    limits: tuple[LimitUse, ...] = ()
    nominal_us: float = 1_000_000.0
    moving: tuple[Term, ...] = ()


Measured = tuple[SchedulingClass, float]
"""A job's class, and its units of work."""


def parse_requirements(texts: tuple[str, ...], catalogue: Catalogue) -> tuple[Term, ...]:
    """The terms of a spec. Raises InvalidCommandError naming each bad one."""
    problems, terms = [], []
    for index, text in enumerate(texts):
        try:
            terms.append(parse_term(text, catalogue))
        except ValueError as error:
            problems.append(FieldProblem(f"/requirements/{index}", str(error)))
    if problems:
        raise InvalidCommandError(problems)
    return tuple(terms)


@lru_cache(maxsize=1_024)
def tenant_mark(tenant: str) -> str:
    """How the class ids of a tenant begin, so that they can be counted; 20 bits, which two may share."""
    return crockford(int.from_bytes(hashlib.blake2b(tenant.encode(), digest_size=3).digest(), "big"), 4)


class Classifier:
    """Finds the class of a job. What it remembers is derived: forgetting costs time only."""

    def __init__(self, kinds: Mapping[str, JobKind], large_job_bytes: int | None) -> None:
        self._kinds = kinds
        self._large_job_bytes = large_job_bytes
        self._classes: dict[tuple[object, ...], SchedulingClass] = {}
        self._jobs: dict[str, tuple[JobSpec, Measured]] = {}
        self._texts: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def of(self, job: Job) -> SchedulingClass:
        """The class a job belongs to."""
        return self.measured(job)[0]

    def measured(self, job: Job) -> Measured:
        """The class of a job and its units of work."""
        known = self._jobs.get(job.id)
        if known is None or known[0] is not job.spec:
            measured = self.measured_spec(job.spec, job.tenant)
            self.remember(job.id, job.spec, measured)
            return measured
        return known[1]

    def remember(self, job_id: str, spec: JobSpec, measured: Measured) -> None:
        """A job is to have this spec, which was measured before it had its id."""
        if len(self._jobs) >= _MEASURED_MAX:
            self._jobs.clear()
        self._jobs[job_id] = (spec, measured)

    def canonical(self, kind: JobKind, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Requirements in canonical form, in order, each once. Raises InvalidCommandError naming each bad one."""
        if not texts:
            return texts
        found = self._texts.get((kind.name, texts))
        if found is None:
            if len(self._texts) >= _REMEMBERED_MAX:
                self._texts.clear()
            terms = parse_requirements(texts, kind.catalogue)
            found = self._texts[kind.name, texts] = tuple(sorted({term.text for term in terms}))
        return found

    def of_spec(self, spec: JobSpec, tenant: str) -> SchedulingClass:
        """The class jobs of this spec would belong to."""
        return self.measured_spec(spec, tenant)[0]

    def measured_spec(self, spec: JobSpec, tenant: str) -> Measured:
        """The same, and the units of work of such a job."""
        kind = self._kinds.get(spec.kind) or JobKind(name=spec.kind)
        needs = (*spec.requirements, *kind.needs(spec.parameters))
        large = self._large_job_bytes is not None and (spec.size.size_bytes or 0) >= self._large_job_bytes
        limits = tuple(sorted(spec.limits, key=lambda use: use.key)) if spec.limits else ()
        task_class, units = kind.measure(spec)
        signature = (tenant, spec.kind, task_class, needs, large, spec.pool, limits)
        found = self._classes.get(signature)
        if found is None:
            if len(self._classes) >= _REMEMBERED_MAX:
                self._classes.clear()
            found = self._classes[signature] = _build(signature, kind)
        return found, units


def _moves(term: Term) -> bool:
    return term.fact in VOLATILE_FACTS and not term.preferred and term.type is not FactType.VERSION


def _build(signature: tuple[object, ...], kind: JobKind) -> SchedulingClass:
    tenant, name, task_class, needs, large, pool, limits = signature
    assert isinstance(needs, tuple)
    assert isinstance(limits, tuple)
    terms = {term.text: term for term in parse_requirements(needs, kind.catalogue)}
    pools = [] if pool is None else [f"pool:{pool}"]  # no term looks like this
    uses = [f"limit:{use.key} {use.units}" for use in limits]
    canonical = "\n".join(
        [str(tenant), str(name), str(task_class), str(large), *sorted(terms), *pools, *uses]
    )
    digest = hashlib.blake2b(canonical.encode(), digest_size=10).digest()
    return SchedulingClass(
        id=tenant_mark(str(tenant)) + crockford(int.from_bytes(digest, "big"), 16),
        tenant=str(tenant),
        kind=str(name),
        task_class=str(task_class),
        terms=tuple(terms[text] for text in sorted(terms)),
        large=bool(large),
        pool=None if pool is None else str(pool),
        limits=limits,
        nominal_us=kind.nominal_s_per_unit * SECOND_US,
        moving=tuple(term for text, term in sorted(terms.items()) if _moves(term)),
    )
