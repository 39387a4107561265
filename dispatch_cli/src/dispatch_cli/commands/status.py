"""`dispatch status`."""

from __future__ import annotations

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.examples import examples
from dispatch_cli.exits import negative


@click.command()
@calling
@examples(
    "dispatch status",
    "dispatch status --json",
    "dispatch status --url http://a.example:8080 --url http://b.example:8080",
)
def status(caller: Caller) -> None:
    """Count jobs and engines.

    Ends with exit code 1 if the accounting identity does not hold: jobs accepted are the sum of jobs in all states and of those
    purged.
    """
    told = caller.target().status()

    def people() -> None:
        from dispatch_cli.render.engines import show_status

        show_status(told, caller.connection.database or str(caller.connection.servers))

    caller.tell(told, people)
    if not told["identity_holds"]:
        negative(caller.context)
