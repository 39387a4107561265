"""`dispatch submit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.commands.job_options import JobOptions, job_options, place, said, size_of
from dispatch_cli.examples import examples
from dispatch_cli.exits import negative
from dispatch_cli.parameter_types import JSON_OBJECT

TRANSCODE_OPTIONS = ("codec", "encoder", "preset", "crf", "width", "height", "audio")


@click.command("submit")
@click.argument("source", required=False)
@click.argument("target", required=False)
@click.option("--codec", metavar="NAME", help="h264, hevc, av1, vp9 …; any encoder for it may run.")
@click.option("--encoder", metavar="NAME", help="One certain encoder, such as libx265.")
@click.option("--preset", metavar="NAME", help="The encoder's own word for speed.")
@click.option("--crf", type=int, metavar="N", help="Quality on the encoder's own scale.")
@click.option("--width", type=int, metavar="PX", help="Fit the picture into this width.")
@click.option("--height", type=int, metavar="PX", help="Fit the picture into this height.")
@click.option("--audio", metavar="NAME", help="aac, opus, copy, none …")
@job_options
@click.option(
    "--campaign", metavar="NAME", help="The name of the jobs that it belongs together with, for good."
)
@click.option("--hold", is_flag=True, help="Keep it from being granted until it is released.")
@click.option("--kind", metavar="KIND", help="Another kind of job than transcode; takes --parameters.")
@click.option("--parameters", type=JSON_OBJECT, metavar="JSON|@FILE", help="The parameters of the job.")
@click.option(
    "--file",
    "lines",
    type=click.File("r", encoding="utf-8"),
    metavar="PATH|-",
    help="Submit the jobs of a file, one JSON form a line.",
)
@click.option("--key", metavar="TEXT", help="Submit once only: a repeat with this key gets the first answer.")
@click.option("--wait", is_flag=True, help="Follow what was submitted until it ends.")
@calling
@examples(
    "dispatch submit input.mov output.mp4 --codec hevc --crf 24 --priority 10",
    "dispatch submit https://nas/raw/a.mxf /out/a.mp4 --require 'ffmpeg >= 6.1' --run-limit 2h --wait",
    "dispatch submit a.mov b.mp4 --encoder libx265 --require 'tag has gpu' --fall-back '10m any' "
    "--fall-back '30m encoder=libx264'",
    "dispatch submit --kind render --parameters '{\"scene\": 7}'",
    "dispatch submit --file jobs.ndjson --key nightly-2030-01-31",
)
def submit(
    caller: Caller,
    /,
    *,
    lines: IO[str] | None,
    key: str | None,
    wait: bool,
    campaign: str | None,
    hold: bool,
    kind: str | None,
    source: str | None,
    target: str | None,
    parameters: Mapping[str, object] | None,
    **options: Any,
) -> None:
    """Submit a job, or a file of jobs.

    SOURCE and TARGET are paths or addresses as the engines see them. A path is made absolute; the size of a
    SOURCE that is a file here is told along. With --file every line is a job of its own: one that is refused is
    reported with its number and stops none of the others; with --json every line gets one line of answer.
    """
    special = {name: options.pop(name) for name in TRANSCODE_OPTIONS}
    form = JobOptions(**options).form() | said(campaign=campaign, hold=hold or None)
    if lines is not None:
        if form or parameters or kind or source or any(each is not None for each in special.values()):
            raise click.UsageError(
                "--file takes only --key and --wait beside it; the file describes the jobs"
            )
        _submit_lines(caller, lines, key, wait)
        return
    if kind is None:
        form = _transcode(form, source, target, said(**special), parameters)
    elif source is not None or said(**special):
        raise click.UsageError("--kind takes --parameters, not SOURCE, TARGET and the options of a transcode")
    else:
        form |= said(kind=kind, parameters=parameters)
    _submit_one(caller, form, key, wait)


def _transcode(
    form: dict[str, Any],
    source: str | None,
    target: str | None,
    special: Mapping[str, object],
    parameters: Mapping[str, object] | None,
) -> dict[str, Any]:
    if (source is None or target is None) and parameters is None:
        raise click.UsageError("name a SOURCE and a TARGET, or --kind and --parameters, or --file")
    ends = {name: place(end) for name, end in (("source", source), ("target", target)) if end is not None}
    size = {**size_of(ends.get("source", "")), **form.get("size", {})}
    if "size_mb" in size:
        size.pop("size_bytes", None)
    return form | {"parameters": {**(parameters or {}), **ends, **special}} | ({"size": size} if size else {})


def _submit_one(caller: Caller, form: Mapping[str, object], key: str | None, wait: bool) -> None:
    target = caller.target(create=True)
    job = target.submit(form, key=key)
    if not wait:
        caller.tell(job, lambda: click.echo(f"Submitted {job['id']} ({job['state']})"))
        return
    from dispatch_cli.watching import follow

    if not caller.json:
        click.echo(f"Submitted {job['id']} ({job['state']})")
    (ended,) = follow(target, [job["id"]], quiet=caller.json)
    caller.tell(ended, lambda: None)
    if ended["state"] != "completed":
        negative(caller.context)


def _submit_lines(caller: Caller, lines: IO[str], key: str | None, wait: bool) -> None:
    from dispatch_cli.submitting import submit_lines

    target = caller.target(create=True)
    accepted, failure = submit_lines(caller, target, lines, key)
    if not caller.json:
        click.echo(f"Submitted {len(accepted)} jobs")
    if wait and accepted:
        from dispatch_cli.watching import follow

        ended = follow(target, accepted, quiet=caller.json)
        if failure is None and any(job["state"] != "completed" for job in ended):
            negative(caller.context)
    if failure is not None:
        caller.context.exit(failure.exit_code)
