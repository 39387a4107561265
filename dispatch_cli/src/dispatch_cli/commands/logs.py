"""`dispatch logs`."""

from __future__ import annotations

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.examples import examples
from dispatch_cli.parameter_types import INSTANT

_HEAD = ("timestamp", "level", "logger", "event")


@click.command()
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    default="info",
    help="Lines of this level and above [info].",
)
@click.option("--logger", metavar="NAME", help="Lines of this part of the program, such as dispatch_core.")
@click.option("--since", type=INSTANT, metavar="TIME", help="Lines from then on, such as -10m.")
@click.option(
    "--limit", type=click.IntRange(1, 2_000), default=100, help="At most so many, the latest [100]."
)
@calling
@examples(
    "dispatch logs --level warning",
    "dispatch logs --since -10m --json",
)
def logs(caller: Caller, level: str, logger: str | None, since: str | None, limit: int) -> None:
    """Show the latest lines of the server's log.

    The server keeps a few thousand lines in memory, without secrets; the whole log is what it writes to standard error.
    """
    told = caller.target().logs(level=level, logger=logger, since=since, limit=limit)

    def people() -> None:
        from dispatch_cli.render.clean import clean

        for line in told["lines"]:
            head = [str(line.get(name, "")) for name in _HEAD]
            rest = [f"{name}={value}" for name, value in line.items() if name not in _HEAD]
            click.echo(clean("  ".join([*head, *rest])))

    caller.tell(told, people)
