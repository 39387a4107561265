"""Handlers of what tick finds due."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from dispatch_core.kernel.ladder import rungs
from dispatch_core.kernel.lifecycle import decide
from dispatch_core.kernel.retention import purge
from dispatch_core.shell.handlers.handler import Handler, Phase, job_ref
from dispatch_core.shell.handlers.jobs import live_attempt_refs, room_for_classes
from dispatch_core.shell.handlers.trust import judge
from dispatch_core.shell.workspace import Workspace, attempt_refs
from dispatch_core.vocabulary.attempts import attempt_key
from dispatch_core.vocabulary.clock import SECOND_US, to_us
from dispatch_core.vocabulary.commands import EndAttempt, FireTimer, PruneReceipt, PurgeJob
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.events import JobEvent, JobFellBack, TimerRestamped
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.records import RecordType, Ref

PUT_OFF_US = 60 * SECOND_US
"""How long a fall waits that would open one scheduling class too many."""


def _fire(command: FireTimer | EndAttempt, context: Context, workspace: Workspace) -> bool:
    """Whether anything happened: what was due may have moved since tick looked."""
    job = workspace.get(job_ref(command.job_id))
    if not isinstance(job, Job):
        return False
    number = command.number if isinstance(command, EndAttempt) else job.live_attempt
    attempt = workspace.attempt(job.id, number)
    decision = decide(job, attempt, command, workspace.now, workspace.terms)
    events = tuple(
        _falling(job, each, workspace) if isinstance(each, JobFellBack) else each for each in decision.events
    )
    workspace.decided(job, attrs.evolve(decision, events=events), context)
    if isinstance(command, EndAttempt) and events:
        judge(workspace.attempt(job.id, number), workspace)
    return bool(decision.events or decision.pulse)


def _falling(job: Job, event: JobFellBack, workspace: Workspace) -> JobEvent:
    """The fall, with the scheduling classes before and after; put off while no other class may wait."""
    spec = next(rungs(job.spec, job.step))
    wanted = workspace.house.classifier.of_spec(spec, job.tenant)
    if not room_for_classes({wanted.id}, job.tenant, workspace):
        return TimerRestamped(retry_at_us=None, grace_at_us=None, fall_at_us=workspace.now + PUT_OFF_US)
    classifier = workspace.house.classifier
    to_class = classifier.of_spec(spec, job.tenant).id
    return attrs.evolve(event, from_class=classifier.of(job).id, to_class=to_class)


def _attempt_refs(command: EndAttempt) -> Collection[Ref]:
    return [job_ref(command.job_id), (RecordType.ATTEMPT, attempt_key(command.job_id, command.number))]


def _prune(command: PruneReceipt, _context: Context, workspace: Workspace) -> bool:
    """A receipt outlives its job's record, never less."""
    receipt = workspace.receipt(command.key)
    if receipt is None or receipt.due_us is None or receipt.due_us > workspace.now:
        return False
    job = workspace.get(job_ref(receipt.job_id)) if receipt.job_id else None
    if isinstance(job, Job):
        due = workspace.now + to_us(workspace.house.settings.receipt_ttl_s)
        workspace.put(attrs.evolve(receipt, version=receipt.version + 1, due_us=due))
    else:
        workspace.drop((RecordType.RECEIPT, receipt.key))
    return True


def _purge(command: PurgeJob, context: Context, workspace: Workspace) -> bool:
    """A job that somebody restored or requeued since tick looked stays."""
    job = workspace.get(job_ref(command.job_id))
    event = purge(job, command) if isinstance(job, Job) else None
    if isinstance(job, Job) and event is not None:
        workspace.job_purged(job, event, context)
    return event is not None


def _all_attempts(command: PurgeJob, workspace: Workspace) -> Collection[Ref]:
    job = workspace.get(job_ref(command.job_id))
    return attempt_refs(job) if isinstance(job, Job) else ()


FIRE = Handler(
    phase=Phase.CONTROL, needs=lambda command: [job_ref(command.job_id)], then=live_attempt_refs, run=_fire
)
END = Handler(phase=Phase.CONTROL, needs=_attempt_refs, run=_fire)
PRUNE = Handler(phase=Phase.CONTROL, needs=lambda command: [(RecordType.RECEIPT, command.key)], run=_prune)
PURGE = Handler(
    phase=Phase.CONTROL, needs=lambda command: [job_ref(command.job_id)], then=_all_attempts, run=_purge
)
