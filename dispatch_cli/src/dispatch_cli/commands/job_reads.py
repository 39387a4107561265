"""`dispatch jobs list|show|explain|history`: commands that change nothing."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

import click
from attrs import evolve

from dispatch_cli.caller import Caller, calling
from dispatch_cli.commands.job_filters import field_names, job_filters, job_query
from dispatch_cli.examples import examples
from dispatch_cli.instants import utc_now
from dispatch_cli.target import PAGE_MAX, SORTS, Form, JobQuery, Target

PAGES_MAX: Final = 1_000


@click.command("list")
@job_filters
@click.option(
    "--sort", type=click.Choice(SORTS), default="-created_at", show_default=True, help="In this order."
)
@click.option(
    "--limit", type=click.IntRange(1, PAGE_MAX), default=50, show_default=True, help="At most so many."
)
@click.option("--cursor", metavar="CURSOR", help="From where another page ended.")
@click.option("--all", "everything", is_flag=True, help="All pages.")
@calling
@examples(
    "dispatch jobs list --state pending --state delayed",
    "dispatch jobs list --engine rack-7 --sort -updated_at",
    "dispatch jobs list --created-since -2h --fields id,state,priority",
    "dispatch jobs list --all --json | jq -r '.jobs[].id'",
)
def list_jobs(
    caller: Caller,
    /,
    *,
    sort: str,
    limit: int,
    cursor: str | None,
    everything: bool,
    **options: Any,
) -> None:
    """List jobs.

    Tables show the beginnings of ids, which are as good as the whole.
    """
    query = job_query(options, sort=sort, limit=PAGE_MAX if everything else limit, cursor=cursor)
    target = caller.target()
    page = _all_pages(target, query) if everything else target.jobs(query)

    def people() -> None:
        from dispatch_cli.render.fields import show_fields
        from dispatch_cli.render.jobs import show_jobs

        if query.fields:
            show_fields(query.fields, page["jobs"])
        else:
            show_jobs(page, utc_now())

    caller.tell(page, people)


def _all_pages(target: Target, query: JobQuery) -> Form:
    jobs: list[Form] = []
    for number in count(1):
        page = target.jobs(query)
        jobs += page["jobs"]
        if page["next_cursor"] is None or number == PAGES_MAX:
            return {"jobs": jobs, "next_cursor": page["next_cursor"]}
        query = evolve(query, cursor=page["next_cursor"])
    raise AssertionError("unreachable: the pages are counted")


@click.command("show")
@click.argument("job_id")
@click.option("--fields", metavar="NAME,NAME…", help="Only these fields, and no attempts.")
@calling
@examples(
    "dispatch jobs show JOB_ID",
    "dispatch jobs show JOB_ID --fields state --json",
)
def show_job(caller: Caller, job_id: str, fields: str | None) -> None:
    """Show one job and its attempts.

    The beginning of an id is enough, here and wherever a JOB_ID is asked for.
    """
    target = caller.target()
    names = field_names(fields)
    job = target.job(job_id, fields=names)

    def people() -> None:
        from dispatch_cli.render.fields import show_fields
        from dispatch_cli.render.jobs import show_job

        if names:
            show_fields(names, [job])
        else:
            show_job(job, target.attempts(job["id"])["attempts"], utc_now())

    caller.tell(job, people)


@click.command("explain")
@click.argument("job_id")
@click.option("--engine", metavar="ENGINE_ID", help="Ask for this engine only.")
@calling
@examples(
    "dispatch jobs explain JOB_ID",
    "dispatch jobs explain JOB_ID --engine rack-7",
)
def explain_job(caller: Caller, job_id: str, engine: str | None) -> None:
    """Say why a job is where it is.

    Every engine's answer with all its reasons, when it should start, and the smallest change that would help.
    """
    told = caller.target().explain(job_id, engine)

    def people() -> None:
        from dispatch_cli.render.explanations import show_explanation

        show_explanation(told)

    caller.tell(told, people)


@click.command("history")
@click.argument("job_id")
@click.option(
    "--limit", type=click.IntRange(1, PAGE_MAX), default=100, show_default=True, help="At most so many."
)
@click.option("--cursor", metavar="CURSOR", help="From where another page ended.")
@calling
@examples(
    "dispatch jobs history JOB_ID",
)
def show_history(caller: Caller, job_id: str, limit: int, cursor: str | None) -> None:
    """Show what became of a job."""
    page = caller.target().history(job_id, cursor=cursor, limit=limit)

    def people() -> None:
        from dispatch_cli.render.jobs import show_history

        show_history(page, utc_now())

    caller.tell(page, people)
