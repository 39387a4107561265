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
from dispatch_core.shell.wire import dumps, to_plain
from dispatch_core.vocabulary.commands import Cancel, ManyPlan, PlanMany, Requeue
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import (
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


Ask = Callable[..., BulkReport]


@frozen
class Bulk:
    """A verb for all jobs that a query finds, oldest first. ``expected`` is the count of a dry run."""

    verb: Verb
    command: Callable[[str], Cancel | Requeue]
    query: Query
    expected: int | None
    limit: int

    @property
    def asked(self) -> str:
        """What makes two of them the same request, as text."""
        verb = self.command("any")
        return dumps([self.verb.value, to_plain(verb), to_plain(self.query), self.limit])

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

    Each is a command of its own, with its own row of history; a refusal stops none of the others. Under a
    receipt key the jobs are settled first, and each has a receipt of its own: a repeat hears the same, and
    does only what a failure left undone.
    """
    plan: ManyPlan = committer.execute(
        PlanMany(asked=bulk.asked, expected=bulk.expected or 0, found=_plan(found)), context
    )
    entries = committer.execute_many(
        [bulk.command(job_id) for job_id in plan.job_ids],
        context,
        receipt_keys=[_key_of(context, job_id) for job_id in plan.job_ids],
    )
    refused = [
        Refused(job_id=job_id, code=entry.error.code, detail=str(entry.error))
        for job_id, entry in zip(plan.job_ids, entries, strict=True)
        if isinstance(entry.error, DispatchError)
    ]
    return BulkReport(
        count=plan.count,
        done=tuple(entry.answer() for entry in entries if not isinstance(entry.error, DispatchError)),
        refused=tuple(refused),
        remaining=plan.remaining,
        next=plan.next,
    )


def do_to_many(bulk: Bulk, ask: Ask, committer: Committer, context: Context, dry_run: bool) -> BulkReport:
    """Count, and without ``dry_run`` carry out."""
    bulk.check(dry_run=dry_run)
    found = ask(look_at_many, bulk)
    return BulkReport(count=found.count) if dry_run else carry_out(bulk, found, committer, context)


def _plan(found: BulkReport) -> ManyPlan:
    last = None if found.next is None else found.done[-1]
    return ManyPlan(
        count=found.count,
        job_ids=tuple(job.id for job in found.done),
        remaining=found.remaining,
        last_us=None if last is None else last.created_us,
    )


def _key_of(context: Context, job_id: str) -> str | None:
    # No caller's key has a line end in it, so this is nobody else's.
    return None if context.receipt_key is None else f"{context.receipt_key}\n{job_id}"
