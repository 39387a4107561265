"""`dispatch jobs list|show|explain|history`: commands that change nothing."""

from __future__ import annotations

from itertools import count
from typing import Final

import click
from attrs import evolve

from dispatch_cli.caller import Caller, calling
from dispatch_cli.examples import examples
from dispatch_cli.instants import utc_now
from dispatch_cli.target import PAGE_MAX, SORTS, STATES, Form, JobQuery, Target

PAGES_MAX: Final = 1_000


@click.command("list")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="Only in this state (repeatable)."
)
@click.option("--kind", metavar="KIND", help="Only of this kind.")
@click.option("--engine", metavar="ENGINE_ID", help="Only of this engine.")
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
    "dispatch jobs list --all --json | jq -r '.jobs[].id'",
)
def list_jobs(
    caller: Caller,
    *,
    states: tuple[str, ...],
    kind: str | None,
    engine: str | None,
    sort: str,
    limit: int,
    cursor: str | None,
    everything: bool,
) -> None:
    """List jobs."""
    query = JobQuery(
        states=states,
        kind=kind,
        engine_id=engine,
        sort=sort,
        limit=PAGE_MAX if everything else limit,
        cursor=cursor,
    )
    target = caller.target()
    page = _all_pages(target, query) if everything else target.jobs(query)

    def people() -> None:
        from dispatch_cli.render.jobs import show_jobs

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
@calling
@examples(
    "dispatch jobs show JOB_ID",
    "dispatch jobs show JOB_ID --json | jq .state",
)
def show_job(caller: Caller, job_id: str) -> None:
    """Show one job and its attempts."""
    target = caller.target()
    job = target.job(job_id)

    def people() -> None:
        from dispatch_cli.render.jobs import show_job

        show_job(job, target.attempts(job_id)["attempts"], utc_now())

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

    Every engine's answer with all its reasons, and the smallest change that would help.
    """
    told = caller.target().explain(job_id, engine)

    def people() -> None:
        from dispatch_cli.render.jobs import show_explanation

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
