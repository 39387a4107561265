"""Rekeying: jobs that wait are placed anew, a bounded number at a time, after a change of mode or fleet."""

from __future__ import annotations

import attrs
from attrs import frozen

from dispatch_core.ports.storage import OrderedId, Query, Storage
from dispatch_core.shell.committer import Committer
from dispatch_core.vocabulary.commands import Rekey
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError
from dispatch_core.vocabulary.jobs import JobState
from dispatch_core.vocabulary.records import RecordType

REKEY_MAX = 1_000
"""Jobs that one call looks at, at most."""


@frozen(kw_only=True)
class RekeyReport:
    """How many pending jobs were looked at, and how many of them have another place now.

    ``next`` is the ``after`` of the call that goes on, None at the end.
    """

    looked: int
    moved: int
    next: OrderedId | None


def rekey(
    storage: Storage, committer: Committer, context: Context, limit: int, after: OrderedId | None
) -> RekeyReport:
    """Place the next ``limit`` pending jobs anew, the oldest first. Raises InvalidCommandError."""
    if not 1 <= limit <= REKEY_MAX:
        raise InvalidCommandError([FieldProblem("/limit", f"must be from 1 to {REKEY_MAX}")])
    where = {"state": (JobState.PENDING.value,), "deleted": ("no",)}
    with storage.read() as snapshot:
        page = snapshot.find(RecordType.JOB, Query(where=where, sort="created_us", limit=limit, after=after))
    context = attrs.evolve(context, receipt_key=None)  # a repeat does no harm, and the key is one for all
    entries = committer.execute_many([Rekey(job_id=job.key) for job in page.records], context)
    moved = sum(bool(entry.answer()) for entry in entries)
    last = None if page.next is None else (int(page.next[0]), page.next[1])
    return RekeyReport(looked=len(entries), moved=moved, next=last)
