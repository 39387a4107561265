"""`dispatch config …`."""

from __future__ import annotations

import json
import os
from typing import Any

import attrs
import click

from dispatch_cli.caller import wants_json
from dispatch_cli.commands.serve import serve, settings_flags
from dispatch_cli.examples import examples

_NOT_SETTINGS = ("print_settings",)


@click.command("explain", params=[each for each in serve.params if each.name not in _NOT_SETTINGS])
@click.pass_context
@examples(
    "dispatch config explain",
    "dispatch config explain --config dispatch.toml --port 9000 --json",
)
def explain_config(
    context: click.Context, /, *, config: str | None, log_format: str | None, as_json: bool, **flags: Any
) -> None:
    """Say where each setting of `dispatch serve` comes from.

    Takes the options of `dispatch serve` and starts nothing. Keys and passwords are not shown; variables that begin
    with DISPATCH_ and mean nothing are warned about.
    """
    from dispatch_cli.serve_settings import config_files, load
    from dispatch_cli.serve_sources import sourced, strays
    from dispatch_http.settings import KEY_VARIABLE

    environ = dict(os.environ)
    given = settings_flags(context, log_format, flags)
    flat = load(given, config).flat
    rows = list(sourced(flat, flags=given, environ=environ, files=config_files(config)))
    warnings = strays(environ, flat)
    key = KEY_VARIABLE in environ
    if as_json or wants_json(context):
        told = {
            "settings": [attrs.asdict(row) for row in rows],
            "warnings": warnings,
            "key_in_environment": key,
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    from dispatch_cli.render.terminal import listing, show

    table = [(row.name, json.dumps(row.value, ensure_ascii=False), row.source, row.place) for row in rows]
    show(listing(("setting", "value", "source", "place"), table, whole=("setting", "source")))
    if key:
        click.echo(f"{KEY_VARIABLE} holds a key; it is not shown")
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
