"""`dispatch rekey`."""

from __future__ import annotations

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.examples import examples


@click.command()
@calling
@examples("dispatch rekey")
def rekey(caller: Caller) -> None:
    """Place jobs that wait anew.

    A job keeps the place that it was given when it began to wait. After a change of the mode, or of the fleet, this gives
    every pending job the place that it would be given now. Work goes on meanwhile; it can be stopped and run again.
    """
    target, looked, moved = caller.target(), 0, 0
    told = target.rekey(None)
    while True:
        looked, moved = looked + told["looked"], moved + told["moved"]
        if told["next"] is None:
            break
        told = target.rekey(told["next"])
    caller.tell_line({"looked": looked, "moved": moved}, f"{looked} jobs looked at, {moved} moved")
