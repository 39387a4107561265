"""`dispatch campaigns …`."""

from __future__ import annotations

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.examples import examples


@click.command("show")
@click.argument("name", metavar="CAMPAIGN")
@calling
@examples("dispatch campaigns show spring", "dispatch jobs list --campaign spring --state failed_permanently")
def show_campaign(caller: Caller, name: str) -> None:
    """Show how far a campaign has come.

    Its jobs by state, when the first and the last were submitted, and the estimated work of those that may be claimed now.
    Jobs that are deleted or purged are no longer counted.
    """
    form = caller.target().campaign(name)

    def people() -> None:
        from dispatch_cli.instants import utc_now
        from dispatch_cli.render.campaigns import show_progress

        show_progress(form, utc_now())

    caller.tell(form, people)
