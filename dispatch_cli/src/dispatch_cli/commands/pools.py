"""`dispatch pools …`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.commands.job_options import said
from dispatch_cli.examples import examples
from dispatch_cli.parameter_types import BYTES

F = TypeVar("F", bound=Callable[..., object])
_OPTIONS: Final = (
    click.option("--place", metavar="URL|PATH", help="Where it is, for people and engines."),
    click.option("--used", "used_bytes", type=BYTES, metavar="SIZE", help="How much of it is taken."),
    click.option(
        "--keep-free", "reserve_bytes", type=BYTES, metavar="SIZE", help="How much no job may take."
    ),
    click.option("--note", metavar="TEXT", help="A note for people."),
)
_CAPACITY: Final = "How large it is, such as 500GB, 1.5TB or 4GiB."


def _pool_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _said(options: Mapping[str, object]) -> dict[str, object]:
    return {"url" if name == "place" else name: value for name, value in said(**options).items()}


@click.command("list")
@calling
@examples("dispatch pools list")
def list_pools(caller: Caller) -> None:
    """List storage pools and what is free in them."""
    page = caller.target().pools()

    def people() -> None:
        from dispatch_cli.render.pools import show_pools

        show_pools(page)

    caller.tell(page, people)


@click.command("show")
@click.argument("pool_id")
@calling
@examples("dispatch pools show nas")
def show_pool(caller: Caller, pool_id: str) -> None:
    """Show one storage pool."""
    form = caller.target().pool(pool_id)

    def people() -> None:
        from dispatch_cli.render.pools import show_pool as shown

        shown(form)

    caller.tell(form, people)


@click.command("add")
@click.argument("pool_id")
@click.option("--capacity", "capacity_bytes", type=BYTES, metavar="SIZE", required=True, help=_CAPACITY)
@_pool_options
@calling
@examples(
    "dispatch pools add nas --capacity 80TB --keep-free 2TB --place nfs://nas/media",
)
def add_pool(caller: Caller, /, pool_id: str, **options: Any) -> None:
    """Let jobs name a storage pool.

    Engines that reach it name it in their fact `pool`.
    """
    form = caller.target().add_pool({"id": pool_id, **_said(options)})
    caller.tell(form, lambda: click.echo(f"{form['id']}: added"))


@click.command("edit")
@click.argument("pool_id")
@click.option("--capacity", "capacity_bytes", type=BYTES, metavar="SIZE", help=_CAPACITY)
@_pool_options
@click.option("--if-version", type=int, metavar="N", help="Only if the pool is still at this version.")
@calling
@examples(
    "dispatch pools edit nas --used 61TB",
)
def edit_pool(caller: Caller, /, pool_id: str, if_version: int | None, **options: Any) -> None:
    """Change what is said of a storage pool.

    What is not named stays.
    """
    changes = _said(options)
    if not changes:
        raise click.UsageError("nothing to change was named")
    form = caller.target().edit_pool(pool_id, changes, if_version=if_version)
    caller.tell(form, lambda: click.echo(f"{form['id']}: version {form['version']}"))


@click.command("remove")
@click.argument("pool_ids", metavar="POOL_ID…", nargs=-1, required=True)
@calling
@examples("dispatch pools remove nas")
def remove_pools(caller: Caller, pool_ids: tuple[str, ...]) -> None:
    """Forget storage pools.

    What runs goes on. Jobs that wait for a pool wait until they are edited.
    """
    target = caller.target()
    caller.each(pool_ids, target.remove_pool, lambda pool: f"{pool['id']}: removed")
