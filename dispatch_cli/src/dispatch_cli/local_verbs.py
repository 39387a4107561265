"""The verbs of ``Target`` that are one word each, as calls of a dispatcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, assert_never

from dispatch_cli.exits import CommandFailure
from dispatch_cli.target import EngineVerb, Form, JobVerb
from dispatch_core import (
    Dispatcher,
    Engine,
    InvalidCommandError,
    Job,
    JobSpec,
    Retention,
    SubmitEach,
    Submitted,
)
from dispatch_core.forms import job_form, parse_instant, spec_from_form


def acted(acting: Dispatcher, job_id: str, verb: JobVerb, told: Mapping[str, object]) -> Job:
    """The job after a verb."""
    reason = str(told.get("reason", ""))
    match verb:
        case "cancel":
            return acting.cancel(job_id, reason=reason)
        case "hold":
            return acting.hold(job_id, reason=reason)
        case "release":
            return acting.release(job_id)
        case "requeue":
            return acting.requeue(job_id)
        case "restore":
            return acting.restore(job_id)
        case "assign":
            engine_id, until = told.get("engine_id"), told.get("until")
            return acting.assign(
                job_id,
                None if engine_id is None else str(engine_id),
                until_us=None if until is None else parse_instant(until, "/until"),
                reason=reason,
            )
        case _:
            assert_never(verb)


def purged(acting: Dispatcher, told: Mapping[str, Any]) -> Form:
    """What a purge came to."""
    older = told.get("older_than_s")
    retention = None if older is None else Retention.older_than(float(older), told.get("states") or ())
    report = acting.purge(retention, dry_run=bool(told.get("dry_run")))
    return {
        "dry_run": report.dry_run,
        "total": report.total,
        "counts": dict(report.counts),
        "more": report.more,
    }


def steered(acting: Dispatcher, engine_id: str, verb: EngineVerb, reason: str) -> Engine:
    """The engine after a verb."""
    match verb:
        case "drain":
            return acting.drain(engine_id, reason=reason)
        case "cordon":
            return acting.cordon(engine_id, reason=reason)
        case "resume":
            return acting.resume(engine_id)
        case _:
            assert_never(verb)


def submitted(
    acting: Dispatcher,
    forms: Sequence[Mapping[str, object]],
    core_errors: Callable[[], AbstractContextManager[None]],
) -> Sequence[Form | CommandFailure]:
    """What became of each of many jobs: its form, or the failure that the core's refusal is."""

    def parsed(form: Mapping[str, object]) -> JobSpec | CommandFailure:
        try:
            with core_errors():
                return spec_from_form(form, priority=acting.settings.priority_default)
        except CommandFailure as failure:
            return failure

    def told(answer: Submitted) -> Form | CommandFailure:
        try:
            with core_errors():
                if answer.job is None:
                    raise InvalidCommandError(answer.problems)
                return job_form(answer.job)
        except CommandFailure as failure:
            return failure

    tried = [parsed(form) for form in forms]
    specs = tuple(each for each in tried if isinstance(each, JobSpec))
    answers = iter(acting.execute(SubmitEach(specs=specs)) if specs else ())
    return [each if isinstance(each, CommandFailure) else told(next(answers)) for each in tried]
