"""The ladder of a job: a wish that nobody grants becomes looser, step by step, until the first grant.

When a step takes effect, ``pacing`` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from dispatch_core.kernel.patching import merge_patch
from dispatch_core.vocabulary.clock import SECOND_US, to_us
from dispatch_core.vocabulary.errors import FieldProblem
from dispatch_core.vocabulary.events import JobFellBack
from dispatch_core.vocabulary.jobs import Job, JobSpec, LadderStep, Wish


def loosened(spec: JobSpec, step: LadderStep) -> JobSpec:
    """The spec with one step of its ladder in force; what the step does not name stays."""
    requirements = spec.requirements if step.requirements is None else step.requirements
    parameters = spec.parameters if step.parameters is None else merge_patch(spec.parameters, step.parameters)
    return attrs.evolve(spec, requirements=requirements, parameters=parameters)


def rungs(spec: JobSpec, above: int = 0) -> Iterator[JobSpec]:
    """The spec as each step of its ladder leaves it, from the one after ``above`` on, which is in force."""
    for step in spec.ladder[above:]:
        spec = loosened(spec, step)
        yield spec


def order_problems(ladder: Sequence[LadderStep]) -> Iterator[FieldProblem]:
    """What is wrong with the steps beside one another, or with one that names nothing."""
    for index, step in enumerate(ladder):
        if step.requirements is None and step.parameters is None:
            yield FieldProblem(f"/ladder/{index}", "must name requirements, parameters or both")
        if index and step.after_s <= ladder[index - 1].after_s:
            yield FieldProblem(f"/ladder/{index}/after_s", "must be more than that of the step before")


def asked_for(job: Job) -> JobSpec:
    """The spec at the foot of the ladder: as it was submitted or last edited."""
    if job.asked is None:
        return job.spec
    return attrs.evolve(job.spec, requirements=job.asked.requirements, parameters=job.asked.parameters)


def wait_us(spec: JobSpec, step: int) -> int | None:
    """How long a step stays in force before the next; None for the last."""
    if step >= len(spec.ladder):
        return None
    return to_us(spec.ladder[step].after_s) - (to_us(spec.ladder[step - 1].after_s) if step else 0)


def fall(job: Job) -> JobFellBack:
    """The next step of the ladder takes effect."""
    spec = next(rungs(job.spec, job.step))
    waited_s = (wait_us(job.spec, job.step) or 0) / SECOND_US
    return JobFellBack(
        step=job.step + 1,
        requirements=spec.requirements,
        parameters=spec.parameters,
        reason=f"not granted within {waited_s:g} s",
    )


def fallen(job: Job, event: JobFellBack) -> dict[str, object]:
    """What changes of a job that falls back."""
    asked = job.asked or Wish(requirements=job.spec.requirements, parameters=job.spec.parameters)
    spec = attrs.evolve(job.spec, requirements=event.requirements, parameters=event.parameters)
    return {"spec": spec, "step": event.step, "asked": asked}
