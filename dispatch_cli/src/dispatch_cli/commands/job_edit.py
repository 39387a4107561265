"""`dispatch jobs edit`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.commands.job_options import JobOptions, job_options, said
from dispatch_cli.editing import merged
from dispatch_cli.examples import examples
from dispatch_cli.parameter_types import JSON_OBJECT

# What "--clear NAME" puts into the merge patch.
_CLEARED: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "queue-ttl": {"timeouts": {"queue_s": None}},
        "run-limit": {"timeouts": {"run_s": None}},
        "no-progress-limit": {"timeouts": {"no_progress_s": None}},
        "not-before": {"not_before": None},
        "requirements": {"requirements": []},
        "ladder": {"ladder": []},
        "pool": {"pool": None},
        "account": {"account": None},
        "mode": {"mode": None},
        "deadline": {"deadline": None},
        "limits": {"limits": []},
        "note": {"note": ""},
    }
)


@click.command("edit")
@click.argument("job_id")
@job_options
@click.option(
    "--parameters", type=JSON_OBJECT, metavar="JSON|@FILE", help="Parameters to change; null removes one."
)
@click.option(
    "--clear", "cleared", multiple=True, type=click.Choice(tuple(_CLEARED)), help="Remove this (repeatable)."
)
@click.option("--patch", type=JSON_OBJECT, metavar="JSON|@FILE", help="A JSON merge patch, for all the rest.")
@click.option("--if-version", type=int, metavar="N", help="Only if the job is still at this version.")
@calling
@examples(
    "dispatch jobs edit JOB_ID --priority 50 --clear not-before",
    'dispatch jobs edit JOB_ID --parameters \'{"crf": 20, "preset": null}\' --if-version 3',
)
def edit_job(
    caller: Caller,
    /,
    job_id: str,
    parameters: Mapping[str, Any] | None,
    cleared: tuple[str, ...],
    patch: Mapping[str, Any] | None,
    if_version: int | None,
    **options: Any,
) -> None:
    """Change a waiting job.

    What is not named stays. Changing parameters, size or requirements ends the right of an engine that was cut off
    to report the old work. Changing parameters, requirements or the steps of --fall-back changes the wish as it was
    asked for, and the job begins again at the foot of its ladder.
    """
    changes = merged(dict(patch or {}), JobOptions(**options).form() | said(parameters=parameters))
    for name in cleared:
        changes = merged(changes, _CLEARED[name])
    if not changes:
        raise click.UsageError("nothing to change was named")
    job = caller.target().edit(job_id, changes, if_version=if_version)
    caller.tell(job, lambda: click.echo(f"{job['id']}: {job['state']}, version {job['version']}"))
