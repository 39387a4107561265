"""`dispatch jobs watch`."""

from __future__ import annotations

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.examples import examples
from dispatch_cli.exits import negative
from dispatch_cli.parameter_types import DURATION


@click.command("watch")
@click.argument("job_ids", metavar="JOB_ID…", nargs=-1, required=True)
@click.option("--within", type=DURATION, metavar="DURATION", help="Stop watching after this long.")
@calling
@examples(
    "dispatch jobs watch JOB_ID",
    "dispatch jobs watch JOB_ID JOB_ID --within 2h --json",
)
def watch_jobs(caller: Caller, job_ids: tuple[str, ...], within: float | None) -> None:
    """Follow jobs until they end.

    Ends with exit code 1 unless all of them are completed. On a terminal there is a bar for each; elsewhere a line
    for every change; with --json the form of a job, on one line, whenever its version has changed.
    """
    from dispatch_cli.watching import follow

    last = follow(caller.target(), job_ids, as_json=caller.json, within_s=within)
    if any(job["state"] != "completed" for job in last):
        negative(caller.context)
