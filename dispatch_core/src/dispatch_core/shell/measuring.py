"""What a committed batch says of the estimates and the deadlines that ended with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dispatch_core.kernel.scheduling.classes import Classifier
from dispatch_core.ports.observer import CompletedRun
from dispatch_core.ports.storage import Change
from dispatch_core.vocabulary.attempts import Attempt, Outcome
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.jobs import Job


def completed_runs(changes: Sequence[Change], classifier: Classifier) -> Iterator[CompletedRun]:
    """The attempts that completed; their jobs are among the changes, too."""
    jobs = {change.after.id: change.after for change in changes if isinstance(change.after, Job)}
    for change in changes:
        before, after = change.before, change.after
        if not isinstance(after, Attempt) or after.outcome is not Outcome.COMPLETED:
            continue
        job = jobs.get(after.job_id)
        if job is None or (isinstance(before, Attempt) and before.outcome is Outcome.COMPLETED):
            continue
        yield CompletedRun(
            engine_id=after.engine_id,
            task_class=classifier.of(job).task_class,
            estimate_s=None if after.estimate_us is None else after.estimate_us / SECOND_US,
            took_s=(after.took_us or 0) / SECOND_US,
        )


def deadlines_missed(changes: Sequence[Change]) -> int:
    """How many jobs ended too late."""
    return sum(
        isinstance(change.after, Job)
        and bool(change.after.deadline_missed)
        and not (isinstance(change.before, Job) and change.before.deadline_missed)
        for change in changes
    )
