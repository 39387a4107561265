"""The life of a job as data: one row per state variant, one column per verb, one word per cell.

The words name the functions of ``lifecycle.py``. Everything that may ever happen to a job stands here;
the diagram and the table in the docs are generated from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from dispatch_core.vocabulary.commands import (
    Assign,
    Cancel,
    Complete,
    Delete,
    EndAttempt,
    Fail,
    FireTimer,
    GiveBack,
    Grant,
    Hold,
    JobCommand,
    Release,
    Renew,
    ReportProgress,
    Requeue,
    Restore,
    Update,
)
from dispatch_core.vocabulary.jobs import Job, JobState


class Variant(StrEnum):
    """A state as the table sees it. ``kept``: the lease ended, but its attempt may still report."""

    PENDING = "pending"
    PENDING_KEPT = "pending-kept"
    DELAYED = "delayed"
    DELAYED_KEPT = "delayed-kept"
    ASSIGNED = "assigned"
    CANCELLING = "cancelling"
    BACK_OFF = "back-off"
    LATE_WAIT = "late-wait"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


class Verb(StrEnum):
    """A command as the table sees it."""

    GRANT = "grant"
    RENEW = "renew"
    PROGRESS = "progress"
    COMPLETE = "complete"
    FAIL = "fail"
    GIVE_BACK = "give-back"
    END = "end"
    TIMER = "timer"
    EDIT = "edit"
    EDIT_WORK = "edit-work"
    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"
    ASSIGN = "assign"
    REQUEUE = "requeue"
    DELETE = "delete"
    RESTORE = "restore"


_TABLE = """
             grant  renew  progress complete fail       give-back end        timer edit     edit-work cancel     hold   release assign requeue delete  restore
pending      grant  lost   lost     lost     lost       lost      stale      due   edit     edit      cancel-now hold   release pin    refuse  discard refuse
pending-kept grant  resume resume   finish   late-fail  late-back stale      due   edit     edit      cancel-now hold   release pin    refuse  discard refuse
delayed      refuse lost   lost     lost     lost       lost      stale      due   edit     edit      cancel-now hold   release pin    refuse  discard refuse
delayed-kept refuse resume resume   finish   late-fail  late-back stale      due   edit     edit      cancel-now hold   release pin    refuse  discard refuse
assigned     refuse beat   beat     finish   fail-run   hand-back end-run    stale refuse   refuse    ask        hold   release pin    refuse  refuse  refuse
cancelling   refuse beat   beat     finish   yield-run  yield-run end-cancel due   refuse   refuse    again      hold   release pin    refuse  refuse  refuse
back-off     refuse lost   lost     lost     lost       lost      stale      due   edit     edit      cancel-now hold   release pin    requeue discard refuse
late-wait    refuse resume resume   finish   final-fail late-back stale      due   reorder  refuse    cancel-now hold   release pin    requeue discard refuse
completed    refuse lost   lost     lost     lost       lost      stale      stale refuse   refuse    refuse     refuse refuse  refuse requeue delete  refuse
failed       refuse lost   lost     lost     lost       lost      stale      stale refuse   refuse    refuse     refuse refuse  refuse requeue delete  refuse
cancelled    refuse lost   lost     lost     lost       lost      stale      stale refuse   refuse    again      refuse refuse  refuse requeue delete  refuse
deleted      absent lost   lost     lost     lost       lost      stale      stale absent   absent    absent     absent absent  absent absent  again   restore
"""


def _parse(text: str) -> Mapping[tuple[Variant, Verb], str]:
    head, *rows = [line.split() for line in text.strip().splitlines()]
    return {
        (Variant(row[0]), Verb(verb)): cell for row in rows for verb, cell in zip(head, row[1:], strict=True)
    }


TABLE: Mapping[tuple[Variant, Verb], str] = _parse(_TABLE)

_WITHOUT_EFFECT = frozenset({"refuse", "absent", "lost", "again", "stale"})

_VERBS: Mapping[type, Verb] = {
    Grant: Verb.GRANT,
    Renew: Verb.RENEW,
    ReportProgress: Verb.PROGRESS,
    Complete: Verb.COMPLETE,
    Fail: Verb.FAIL,
    GiveBack: Verb.GIVE_BACK,
    EndAttempt: Verb.END,
    FireTimer: Verb.TIMER,
    Update: Verb.EDIT,
    Cancel: Verb.CANCEL,
    Hold: Verb.HOLD,
    Release: Verb.RELEASE,
    Assign: Verb.ASSIGN,
    Requeue: Verb.REQUEUE,
    Delete: Verb.DELETE,
    Restore: Verb.RESTORE,
}

_PLAIN = {
    JobState.ASSIGNED: Variant.ASSIGNED,
    JobState.COMPLETED: Variant.COMPLETED,
    JobState.FAILED_PERMANENTLY: Variant.FAILED,
    JobState.CANCELLED: Variant.CANCELLED,
    JobState.PENDING: Variant.PENDING,
    JobState.DELAYED: Variant.DELAYED,
    JobState.FAILED_RETRY: Variant.BACK_OFF,
}
_KEPT = {
    JobState.PENDING: Variant.PENDING_KEPT,
    JobState.DELAYED: Variant.DELAYED_KEPT,
    JobState.FAILED_RETRY: Variant.LATE_WAIT,
}


def variant_of(job: Job) -> Variant:
    """The row of the table a job is in."""
    if job.deleted_us is not None:
        return Variant.DELETED
    if job.cancel_asked:
        return Variant.CANCELLING
    if job.live_attempt is not None and job.state in _KEPT:
        return _KEPT[job.state]
    return _PLAIN[job.state]


def would_act(job: Job, verb: Verb) -> bool:
    """Whether a command changes anything about a job in its present state."""
    return TABLE[variant_of(job), verb] not in _WITHOUT_EFFECT


def verb_of(command: JobCommand) -> Verb:
    """The column of the table a command is in."""
    if isinstance(command, Update) and command.edit.work:
        return Verb.EDIT_WORK
    return _VERBS[type(command)]
