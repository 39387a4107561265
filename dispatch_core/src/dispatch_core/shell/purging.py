"""Purging: ended jobs whose time is over leave the store, a bounded batch at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs
from attrs import frozen

from dispatch_core.kernel.retention import Cutoff, Retention
from dispatch_core.ports.storage import OrderedId, Storage, Transaction
from dispatch_core.shell.committer import Committer
from dispatch_core.shell.settings import Settings
from dispatch_core.vocabulary.bounds import problems_of
from dispatch_core.vocabulary.commands import PurgeJob
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import InvalidCommandError

PURGE_MAX = 10_000
_PAGE = 1_000


@frozen(kw_only=True)
class PurgeReport:
    """How many jobs are purged (or, of a dry run, would be), by state; ``deleted`` are the soft-deleted ones.

    ``more`` says that a bound was reached and another call has work now.
    """

    counts: Mapping[str, int]
    dry_run: bool
    more: bool = False

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


def retention_of(settings: Settings) -> Retention:
    """What the settings say."""
    return Retention(
        completed_s=settings.retain_completed_s,
        failed_s=settings.retain_failed_s,
        cancelled_s=settings.retain_cancelled_s,
        deleted_s=settings.retain_deleted_s,
    )


def purgeable(snapshot: Transaction, retention: Retention, limit: int) -> Sequence[PurgeJob]:
    """The commands for the first jobs whose time is over, those that have waited longest first of each kind."""
    commands: list[PurgeJob] = []
    for cutoff in retention.cutoffs(snapshot.now()):
        if left := limit - len(commands):
            found = _settled(snapshot, cutoff, left)
            commands += _commands(cutoff, found)
    return commands


def purge(
    storage: Storage, committer: Committer, context: Context, retention: Retention, *, dry_run: bool
) -> PurgeReport:
    """Purge what may go now, at most ``PURGE_MAX`` jobs; or only count them all. Raises InvalidCommandError."""
    if problems := list(problems_of(retention)):
        raise InvalidCommandError(problems)
    context = attrs.evolve(context, receipt_key=None)  # a repeat does no harm, and the key is one for all
    with storage.read() as snapshot:
        cutoffs = list(retention.cutoffs(snapshot.now()))
        counts: Counter[str] = Counter()
        for cutoff in cutoffs if dry_run else ():
            counts[cutoff.name] += sum(1 for _ in _all(snapshot, cutoff))
    for cutoff in () if dry_run else cutoffs:
        while left := min(_PAGE, PURGE_MAX - counts.total()):
            with storage.read() as snapshot:
                found = _settled(snapshot, cutoff, left)
            commands = _commands(cutoff, found)
            done = sum(
                entry.error is None and entry.result for entry in committer.execute_many(commands, context)
            )
            counts[cutoff.name] += done
            if not done:
                break
    return PurgeReport(counts=dict(counts), dry_run=dry_run, more=counts.total() >= PURGE_MAX and not dry_run)


def _commands(cutoff: Cutoff, found: Sequence[OrderedId]) -> list[PurgeJob]:
    return [
        PurgeJob(job_id=key, deleted=cutoff.deleted, unchanged_since_us=cutoff.before_us) for _, key in found
    ]


def _settled(
    snapshot: Transaction, cutoff: Cutoff, limit: int, after: OrderedId | None = None
) -> Sequence[OrderedId]:
    return snapshot.settled(cutoff.state, cutoff.before_us, limit, deleted=cutoff.deleted, after=after)


def _all(snapshot: Transaction, cutoff: Cutoff) -> Iterator[OrderedId]:
    after: OrderedId | None = None
    while found := _settled(snapshot, cutoff, _PAGE, after):
        yield from found
        after = found[-1]
