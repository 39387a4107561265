"""`dispatch limits …`."""

from __future__ import annotations

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.commands.job_options import said
from dispatch_cli.examples import examples


@click.command("list")
@calling
@examples("dispatch limits list")
def list_limits(caller: Caller) -> None:
    """List limits by key and what is in use of them."""
    page = caller.target().limits()

    def people() -> None:
        from dispatch_cli.render.limits import show_limits

        show_limits(page)

    caller.tell(page, people)


@click.command("set")
@click.argument("limit_key", metavar="KEY")
@click.option("--at-once", "capacity", type=int, metavar="N", help="Units in use at a time by running jobs.")
@click.option("--per-second", "rate_per_s", type=float, metavar="N", help="Units that start per second.")
@click.option("--burst", type=int, metavar="N", help="Units that may start at once; 1 if not given.")
@click.option(
    "--queued", "queued_max", type=int, metavar="N", help="Jobs that may wait (tenant, account:NAME)."
)
@click.option(
    "--per", type=click.Choice(("fleet", "engine")), help="What is counted together; the fleet if not given."
)
@click.option("--note", metavar="TEXT", help="A note for people.")
@calling
@examples(
    "dispatch limits set licence-x --at-once 2",
    "dispatch limits set nvenc --at-once 3 --per engine",
    "dispatch limits set account:studio --at-once 10 --queued 5000",
)
def set_limit(caller: Caller, /, limit_key: str, **options: object) -> None:
    """Limit jobs that name a key (`dispatch submit --limit KEY`).

    What is not given is not limited: a limit is set as a whole. What runs goes on.
    """
    form = caller.target().set_limit(limit_key, said(**options))
    caller.tell(form, lambda: click.echo(f"{form['key']}: set"))


@click.command("remove")
@click.argument("limit_keys", metavar="KEY…", nargs=-1, required=True)
@calling
@examples("dispatch limits remove licence-x")
def remove_limits(caller: Caller, limit_keys: tuple[str, ...]) -> None:
    """Let keys be limited no longer."""
    target = caller.target()
    caller.each(limit_keys, target.remove_limit, lambda limit: f"{limit['key']}: removed")
