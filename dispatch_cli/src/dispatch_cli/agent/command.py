"""`dispatch engine run`."""

from __future__ import annotations

import platform
import re
import tempfile
from pathlib import Path
from typing import Any

import click

from dispatch_cli.agent.offering import Wishes, parse_fact
from dispatch_cli.caller import Caller, calling
from dispatch_cli.examples import examples
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.parameter_types import DURATION


def _facts(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, object]:
    try:
        return dict(parse_fact(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _wishes(*, max_size_mb: float | None, **others: Any) -> Wishes:
    return Wishes(**others, size_bytes_max=None if max_size_mb is None else round(max_size_mb * 1_000_000))


@click.command("run")
@click.option("--id", "engine_id", metavar="ID", help="Its id in the fleet, unlike any other [host name].")
@click.option("--name", metavar="TEXT", help="A name for people.")
@click.option("--slots", type=click.IntRange(1, 64), default=1, show_default=True, help="Jobs at a time.")
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where remote sources are fetched to [where temporary files are].",
)
@click.option("--ffmpeg", metavar="PATH", help="The ffmpeg to use [DISPATCH_FFMPEG, PATH, imageio-ffmpeg].")
@click.option("--codec", "codecs", multiple=True, metavar="CODEC", help="Make this codec only; repeatable.")
@click.option("--max-size-mb", type=click.FloatRange(0.001), metavar="N", help="Take no larger sources.")
@click.option(
    "--fact",
    "facts",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_facts,
    help="Something jobs may require, such as streaming=true or tag=fast; repeatable.",
)
@click.option("--no-benchmark", is_flag=True, help="Do not measure speeds at the first start.")
@click.option(
    "--drain-grace",
    type=DURATION,
    default=60.0,
    metavar="DURATION",
    help="On SIGTERM let running jobs take this long before they are given back [60s].",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@calling
@examples(
    "dispatch engine run --url http://dispatch.example:8080 --id studio-1",
    "dispatch engine run --url http://a.example:8080 --url http://b.example:8080",
    "dispatch engine run --slots 2 --codec h264 --codec hevc --fact tag=indoors",
)
def run_command(
    caller: Caller,
    /,
    *,
    engine_id: str | None,
    work_dir: Path | None,
    ffmpeg: str | None,
    no_benchmark: bool,
    drain_grace: float,
    log_format: str,
    **wishes: Any,
) -> None:
    """Run an engine on this machine.

    It finds an ffmpeg, tells the server what this machine can do, and works on jobs until it is stopped. The first
    SIGTERM or SIGINT lets running jobs finish; the second gives them back at once.
    """
    from dispatch_cli.agent.starting import Start, run

    if caller.connection.database is not None:
        raise click.UsageError("an engine works for a server: give --url, not --database")
    engine_id = engine_id or re.sub(r"[^A-Za-z0-9._-]", "-", platform.node()) or "engine"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", engine_id):
        message = f"{engine_id!r} cannot be an engine's id: use 1 to 100 letters, digits and . _ -"
        raise CommandFailure("invalid-command", message, exit_code=ExitCode.USAGE)
    start = Start(
        engine_id=engine_id,
        servers=caller.connection.servers,
        api_key=caller.connection.api_key,
        wishes=_wishes(**wishes),
        work_dir=work_dir or Path(tempfile.gettempdir()),
        ffmpeg=ffmpeg,
        benchmark=not no_benchmark,
        drain_grace_s=drain_grace,
        log_format="json" if log_format == "json" else "text",
    )
    caller.context.exit(run(start))
