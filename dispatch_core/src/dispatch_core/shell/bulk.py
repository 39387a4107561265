"""One verb for many jobs: counted first, confirmed by the count, then done job by job, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from attrs import frozen

from dispatch_core.kernel.table import Verb, would_act
from dispatch_core.ports.storage import Query, Transaction
from dispatch_core.shell import queries
from dispatch_core.shell.batch import check
from dispatch_core.shell.committer import Committer
from dispatch_core.shell.house import House
from dispatch_core.vocabulary.commands import Cancel, Requeue
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import (
    CountChangedError,
    DispatchError,
    FieldProblem,
    InvalidCommandError,
)
from dispatch_core.vocabulary.jobs import Job

BULK_MAX = 1_000
"""At most so many jobs are changed by one call."""
COUNT_MAX = 10_000
"""Counting ends here: a larger number is said as this one."""
_PAGE = 1_000


@frozen(kw_only=True)
class Refused:
    """A job that was counted and refused the verb when its turn came."""

    job_id: str
    code: str
    detail: str


@frozen(kw_only=True)
class BulkReport:
    """What a verb for many jobs found and did.

    ``count`` is how many jobs fit and would change (10,000 stands for more), ``remaining`` how many of them
    come after this call's; ``next`` is the ``after`` of the query that goes on with those, None at the end.
    """

    count: int
    done: tuple[Job, ...] = ()
    refused: tuple[Refused, ...] = ()
    remaining: int = 0
    next: tuple[str | int, str] | None = None


@frozen
class Bulk:
    """A verb for all jobs that a query finds, oldest first. ``expected`` is the count of a dry run."""

    verb: Verb
    command: Callable[[str], Cancel | Requeue]
    query: Query
    expected: int | None
    limit: int

    def check(self, *, dry_run: bool) -> None:
        """Raises InvalidCommandError if it may not even be counted."""
        problems = []
        if not self.query.where.get("state"):
            problems.append(FieldProblem("/where/state", "name the states that are meant"))
        if not 1 <= self.limit <= BULK_MAX:
            problems.append(FieldProblem("/limit", f"must be from 1 to {BULK_MAX}"))
        if not dry_run and self.expected is None:
            problems.append(FieldProblem("/expected", "give the count that a dry run told"))
        if problems:
            raise InvalidCommandError(problems)
        check(self.command("any"))


def look_at_many(snapshot: Transaction, house: House, context: Context, bulk: Bulk) -> BulkReport:
    """The jobs that it would change, the first of them as ``done``, the others counted."""
    chosen: list[Job] = []
    rest = 0
    query = attrs.evolve(bulk.query, sort="created_us", descending=False, limit=_PAGE)
    while rest < COUNT_MAX:
        page = queries.jobs(snapshot, house, context, query)
        for job in page.records:
            if isinstance(job, Job) and would_act(job, bulk.verb):
                if len(chosen) < bulk.limit:
                    chosen.append(job)
                else:
                    rest += 1
        if page.next is None:
            break
        query = attrs.evolve(query, after=page.next)
    return BulkReport(
        count=min(len(chosen) + rest, COUNT_MAX),
        done=tuple(chosen),
        remaining=min(rest, COUNT_MAX),
        next=(chosen[-1].created_us, chosen[-1].id) if rest else None,
    )


def carry_out(bulk: Bulk, found: BulkReport, committer: Committer, context: Context) -> BulkReport:
    """Do it to the jobs found, if they are as many as expected. Raises CountChangedError if not.

    Each is a command of its own, with its own row of history; a refusal stops none of the others.
    """
    if bulk.expected != found.count:
        raise CountChangedError(f"{found.count} jobs fit now, not {bulk.expected}: look again with a dry run")
    commands = [bulk.command(job.id) for job in found.done]
    entries = committer.execute_many(commands, attrs.evolve(context, receipt_key=None))
    refused = [
        Refused(job_id=job.id, code=entry.error.code, detail=str(entry.error))
        for job, entry in zip(found.done, entries, strict=True)
        if isinstance(entry.error, DispatchError)
    ]
    done = tuple(entry.answer() for entry in entries if not isinstance(entry.error, DispatchError))
    return attrs.evolve(found, done=done, refused=tuple(refused))
