"""Handlers of what people ask about jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import attrs
from attrs import frozen

from dispatch_core.kernel.ladder import asked_for, loosened, order_problems, rungs
from dispatch_core.kernel.lifecycle import decide
from dispatch_core.kernel.pacing import paced
from dispatch_core.kernel.patching import merge_patch
from dispatch_core.kernel.scheduling.classes import Measured, tenant_mark
from dispatch_core.kernel.terms import first_wait
from dispatch_core.shell.handlers.handler import Handler, Phase, fresh_id, job_ref
from dispatch_core.shell.handlers.limits import check_quotas
from dispatch_core.shell.handlers.pools import check_pool
from dispatch_core.shell.house import House
from dispatch_core.shell.parse import check_shape, parse
from dispatch_core.shell.wire import to_plain
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.attempts import attempt_key
from dispatch_core.vocabulary.bounds import plain_json
from dispatch_core.vocabulary.changing import changed
from dispatch_core.vocabulary.commands import (
    UNSET,
    Edit,
    JobControl,
    ManyPlan,
    PlanMany,
    Rekey,
    Submit,
    SubmitEach,
    Submitted,
    Update,
)
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import (
    CountChangedError,
    FieldProblem,
    InvalidCommandError,
    LimitExceededError,
)
from dispatch_core.vocabulary.events import JobSubmitted
from dispatch_core.vocabulary.jobs import (
    Deadline,
    Job,
    JobSize,
    JobSpec,
    LadderStep,
    Retry,
    Timeouts,
)
from dispatch_core.vocabulary.records import RecordType, Ref

PROBLEMS_MAX = 100
"""At most so many problems of one submit are told."""


@frozen
class Fit:
    """A spec that is fit to be submitted: requirements in canonical form, and measured."""

    spec: JobSpec
    measured: Measured


def checked(spec: JobSpec, house: House, tenant: str) -> Fit:
    """The spec and every step of its ladder, checked. Raises InvalidCommandError."""
    foot = _checked_wish(_checked_limits(spec), house, tenant)
    if not spec.ladder:
        return foot
    spec, steps = foot.spec, list[LadderStep]()
    problems = list(order_problems(spec.ladder))
    for index, step in enumerate(spec.ladder):
        try:
            spec = _checked_wish(loosened(spec, step), house, tenant).spec
        except InvalidCommandError as error:
            problems += _under(f"/ladder/{index}", error).problems
        steps.append(_plain_step(step, spec))
    if problems:
        raise InvalidCommandError(problems)
    return Fit(changed(foot.spec, ladder=tuple(steps)), foot.measured)


def _plain_step(step: LadderStep, after: JobSpec) -> LadderStep:
    """The step as it is kept; ``after`` is the checked spec that it leads to."""
    patch = plain_json(step.parameters)
    assert patch is None or isinstance(patch, dict)
    terms = None if step.requirements is None else after.requirements
    return attrs.evolve(step, requirements=terms, parameters=patch)


def _checked_limits(spec: JobSpec) -> JobSpec:
    """The spec with its limits by key. Raises InvalidCommandError if one is named twice."""
    if not spec.limits:
        return spec
    seen: set[str] = set()
    problems = []
    for index, use in enumerate(spec.limits):
        if use.key in seen:
            problems.append(FieldProblem(f"/limits/{index}/key", f"{use.key} is named twice"))
        seen.add(use.key)
    if problems:
        raise InvalidCommandError(problems)
    return attrs.evolve(spec, limits=tuple(sorted(spec.limits, key=lambda use: use.key)))


def _checked_wish(spec: JobSpec, house: House, tenant: str) -> Fit:
    kind = house.kinds.get(spec.kind)
    if kind is None:
        known = ", ".join(sorted(house.kinds))
        raise InvalidCommandError(
            [FieldProblem("/kind", f"no kind is called {spec.kind!r}; known kinds: {known}")]
        )
    if kind.shape is not None:
        check_shape(kind.shape, spec.parameters, "/parameters")  # and kept as it was written
    texts = house.classifier.canonical(kind, spec.requirements)
    parameters = plain_json(spec.parameters)
    assert isinstance(parameters, dict)
    spec = changed(spec, requirements=texts, parameters=parameters)
    try:  # what the kind adds must parse too: a bad codec is refused
        return Fit(spec, house.classifier.measured_spec(spec, tenant))
    except InvalidCommandError:
        raise
    except Exception as error:
        problem = f"does not suit the kind {kind.name!r}: {type(error).__name__}: {error}"
        raise InvalidCommandError([FieldProblem("/parameters", problem)]) from error


def _under(path: str, error: InvalidCommandError) -> InvalidCommandError:
    return InvalidCommandError([FieldProblem(path + each.path, each.message) for each in error.problems])


def _submit(command: Submit, context: Context, workspace: Workspace) -> list[Job]:
    tried = [_fit(spec, context, workspace) for spec in command.specs]
    refusals = [(index, each) for index, each in enumerate(tried) if isinstance(each, InvalidCommandError)]
    if refusals:
        if len(command.specs) == 1:
            raise refusals[0][1]
        every = (problem for index, error in refusals for problem in _under(f"/{index}", error).problems)
        raise InvalidCommandError(list(islice(every, PROBLEMS_MAX)))
    return _accepted([each for each in tried if isinstance(each, Fit)], context, workspace)


def _submit_each(command: SubmitEach, context: Context, workspace: Workspace) -> list[Submitted]:
    tried = [_fit(spec, context, workspace) for spec in command.specs]
    jobs = iter(_accepted([each for each in tried if isinstance(each, Fit)], context, workspace))
    return [
        Submitted(problems=each.problems)
        if isinstance(each, InvalidCommandError)
        else Submitted(job=next(jobs))
        for each in tried
    ]


def _fit(spec: JobSpec, context: Context, workspace: Workspace) -> Fit | InvalidCommandError:
    try:
        fit = checked(spec, workspace.house, context.tenant)
        check_pool(spec.pool, workspace, context)
    except InvalidCommandError as error:
        return error
    return fit


def _accepted(fits: Sequence[Fit], context: Context, workspace: Workspace) -> list[Job]:
    asked = {fit.measured[0].id for fit in fits}
    for fit in fits:
        asked |= _classes(rungs(fit.spec), context, workspace)
    _check_classes(asked, context, workspace)
    check_quotas([fit.spec for fit in fits], workspace, context)
    # Job i counts as created i µs later, so that the order of a batch survives random ids.
    return [_accept(fit, index, context, workspace) for index, fit in enumerate(fits)]


def _classes(wishes: Iterable[JobSpec], context: Context, workspace: Workspace) -> set[str]:
    return {workspace.house.classifier.of_spec(wish, context.tenant).id for wish in wishes}


def _check_classes(asked: set[str], context: Context, workspace: Workspace) -> None:
    if not room_for_classes(asked, context.tenant, workspace):
        raise LimitExceededError(
            f"more than {workspace.house.settings.classes_max} different requirement signatures are waiting: "
            "use fewer distinct requirements",
            retry_after_s=60,
        )


def room_for_classes(asked: set[str], tenant: str, workspace: Workspace) -> bool:
    """Whether these scheduling classes may wait beside those of the tenant that wait already."""
    new = {class_id for class_id in asked if not workspace.class_waits(class_id)}
    if not new:
        return True
    mark = tenant_mark(tenant)
    known = {class_id for _, class_id in workspace.buckets() if class_id.startswith(mark)}
    return len(known) + len(new - known) <= workspace.house.settings.classes_max


def _accept(fit: Fit, index: int, context: Context, workspace: Workspace) -> Job:
    created, spec = workspace.now + index, fit.spec
    into, ttl_at_us = first_wait(spec, created)
    event = JobSubmitted(
        job_id=fresh_id(workspace, RecordType.JOB),
        tenant=context.tenant,
        spec=spec,
        state=into,
        held="submitted on hold" if spec.hold else None,
        ttl_at_us=ttl_at_us,
    )
    workspace.house.classifier.remember(event.job_id, spec, fit.measured)
    return workspace.happened(None, paced(None, event, created), context, at_us=created)


def _control(command: JobControl, context: Context, workspace: Workspace) -> Job:
    job = workspace.job(command.job_id, context)
    if isinstance(command, Update):
        command = attrs.evolve(command, edit=_checked_edit(job, command.edit, workspace.house))
        if isinstance(command.edit.pool, str):
            check_pool(command.edit.pool, workspace, context)
    attempt = workspace.attempt(job.id, job.live_attempt)
    events = decide(job, attempt, command, workspace.now, workspace.terms)
    if isinstance(command, Update) and _changed(command.edit):
        after, had = _edited(job, command.edit), asked_for(job)
        asked = _classes((after, *rungs(after)), context, workspace)
        _check_classes(asked - _classes((had, *rungs(had)), context, workspace), context, workspace)
    return workspace.decided(job, events, context)


_MERGED: Mapping[str, type] = {
    "retry": Retry,
    "timeouts": Timeouts,
    "size": JobSize,
    "deadline": Deadline,
}


def _merged(job: Job, edit: Edit) -> Edit:
    """The edit with its merge patches applied to what the job has."""
    done: dict[str, object] = {}
    for name, patch in edit.merge.items():
        if name not in ("parameters", *_MERGED) or not isinstance(patch, Mapping):
            raise InvalidCommandError([FieldProblem(f"/{name}", "must be an object")])
        plain = merge_patch(to_plain(getattr(asked_for(job), name)), patch)
        done[name] = parse(_MERGED[name], plain, f"/{name}") if name in _MERGED else plain
    return attrs.evolve(edit, merge={}, **done)  # type: ignore[arg-type]  # fields of Edit


def _checked_edit(job: Job, edit: Edit, house: House) -> Edit:
    edit = _merged(job, edit)
    if not edit.work and edit.limits is UNSET:
        return edit
    spec = checked(_edited(job, edit), house, job.tenant).spec
    return attrs.evolve(edit, **{name: getattr(spec, name) for name in _changed(edit)})


def _edited(job: Job, edit: Edit) -> JobSpec:
    """The spec at the foot of the ladder as the edit leaves it."""
    return attrs.evolve(asked_for(job), **_changed(edit))


def _changed(edit: Edit) -> dict[str, Any]:
    fields = ("parameters", "requirements", "ladder", "size", "pool", "limits")
    return {name: getattr(edit, name) for name in fields if getattr(edit, name) is not UNSET}


def live_attempt_refs(command: JobControl, workspace: Workspace) -> Collection[Ref]:
    """The live attempt of the job a command names."""
    job = workspace.get(job_ref(command.job_id))
    if not isinstance(job, Job) or job.live_attempt is None:
        return ()
    return [(RecordType.ATTEMPT, attempt_key(job.id, job.live_attempt))]


def _settle(command: PlanMany, _context: Context, _workspace: Workspace) -> ManyPlan:
    if command.found.count != command.expected:
        raise CountChangedError(
            f"{command.found.count} jobs fit now, not {command.expected}: look again with a dry run"
        )
    return command.found


def _rekey(command: Rekey, _context: Context, workspace: Workspace) -> bool:
    """Only what still waits: it may have been granted since it was listed."""
    job = workspace.get(job_ref(command.job_id))
    return isinstance(job, Job) and job.ready is not None and workspace.placed(job)


SUBMIT = Handler(phase=Phase.SUBMIT, needs=lambda _command: (), run=_submit)
SUBMIT_EACH = Handler(phase=Phase.SUBMIT, needs=lambda _command: (), run=_submit_each)
CONTROL = Handler(
    phase=Phase.CONTROL,
    needs=lambda command: [job_ref(command.job_id)],
    then=live_attempt_refs,
    run=_control,
)
REKEY = Handler(phase=Phase.CONTROL, needs=lambda command: [job_ref(command.job_id)], run=_rekey)
PLAN = Handler(phase=Phase.CONTROL, needs=lambda _command: (), run=_settle)
