"""`dispatch keys …`."""

from __future__ import annotations

from typing import Any, Final

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.examples import examples
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.instants import utc_now
from dispatch_cli.parameter_types import DURATION, INSTANT
from dispatch_cli.target import Form

SCOPES: Final = ("admin", "submitter", "engine")


def _tell(caller: Caller, key: Form, done: str) -> None:
    """The key; its text on standard output alone, so that it can be put into a file."""
    if key["text"] is None:  # the answer to the first try got lost, and its text with it
        raise CommandFailure(
            "key-text-lost",
            f"{key['id']} is {done}, but its text got lost on the way",
            exit_code=ExitCode.UNAVAILABLE,
            hint=f"draw another: dispatch keys rotate {key['id']}",
        )

    def people() -> None:
        click.echo(f"{key['id']} is {done}. Its text, which is shown this once:", err=True)
        click.echo(key["text"])

    caller.tell(key, people)


@click.command("create")
@click.argument("name")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True,
              help="What it may do; may be repeated.")  # fmt: skip
@click.option("--tenant", metavar="TENANT", help="Whose jobs and engines; needs the server's own key.")
@click.option("--engine-id", metavar="ENGINE_ID", help="Bind a key with the scope engine to one engine.")
@click.option("--expires", "expires_at", type=INSTANT, metavar="TIME", help="When it ends; or +30d.")
@calling
@examples(
    "dispatch keys create ci --scope submitter --expires +90d",
    "dispatch keys create rack-7 --scope engine --engine-id rack-7",
    "dispatch keys create boss --scope admin --tenant studio-b",
)
def create_key(caller: Caller, /, scopes: tuple[str, ...], **fields: Any) -> None:
    """Create a key.

    Its text goes to standard output, once; the store keeps a digest. As soon as there is a key, the server lets
    nobody in without one.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    _tell(caller, caller.target(create=True).create_key({**given, "scopes": list(scopes)}), "created")


@click.command("list")
@click.option("--tenant", metavar="TENANT", help="Those of one tenant.")
@click.option("--revoked", is_flag=True, help="Revoked ones, too.")
@calling
@examples(
    "dispatch keys list",
    "dispatch keys list --revoked --json",
)
def list_keys(caller: Caller, tenant: str | None, revoked: bool) -> None:
    """List keys, oldest first."""
    page = caller.target().keys(tenant=tenant, revoked=revoked)

    def people() -> None:
        from dispatch_cli.render.keys import show_keys

        show_keys(page, utc_now())

    caller.tell(page, people)


@click.command("revoke")
@click.argument("key_ids", metavar="KEY_ID…", nargs=-1, required=True)
@calling
@examples(
    "dispatch keys revoke key-4zzm21v7nps947r73kfxzbvtc2",
)
def revoke_keys(caller: Caller, key_ids: tuple[str, ...]) -> None:
    """Revoke keys.

    They end at once, on other servers of the same store within a second.
    """
    target = caller.target()
    caller.each(key_ids, target.revoke_key, lambda key: f"{key['id']}: {key['name']} is revoked")


@click.command("rotate")
@click.argument("key_id")
@click.option("--overlap", "overlap_s", type=DURATION, default="0s", metavar="DURATION",
              help="How long the former text stays good, up to 30d [0s].")  # fmt: skip
@calling
@examples(
    "dispatch keys rotate key-4zzm21v7nps947r73kfxzbvtc2 --overlap 1h",
)
def rotate_key(caller: Caller, key_id: str, overlap_s: float) -> None:
    """Give a key another text."""
    _tell(caller, caller.target().rotate_key(key_id, overlap_s=overlap_s), "rotated")
