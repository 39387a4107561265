"""`dispatch jobs export`."""

from __future__ import annotations

from typing import Any

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.commands.job_filters import job_filters, job_query
from dispatch_cli.examples import examples


@click.command("export")
@job_filters
@click.option("--history", is_flag=True, help="Every event instead, of all jobs and engines.")
@click.option("--cursor", metavar="CURSOR", help="With --history: from behind this event.")
@calling
@examples(
    "dispatch jobs export > jobs.ndjson",
    "dispatch jobs export --state completed --created-since -7d --fields id,result",
    "dispatch jobs export --history --cursor 812.3 > newer.ndjson",
)
def export_jobs(caller: Caller, /, history: bool, cursor: str | None, **options: Any) -> None:
    """Write all jobs, or all events, a line of JSON each.

    Oldest first, as they come: however many there are, few are in memory.
    """
    target = caller.target()
    query = job_query(options)
    if history and query != job_query(dict.fromkeys(options) | {"states": (), "deleted": False}):
        raise click.UsageError("--history takes only --cursor beside it")
    if cursor is not None and not history:
        raise click.UsageError("--cursor belongs to --history")
    for line in target.export_history(cursor) if history else target.export_jobs(query):
        click.echo(line)
