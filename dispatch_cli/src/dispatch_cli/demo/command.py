"""`dispatch demo`."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import click

from dispatch_cli.examples import examples
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.parameter_types import DURATION

if TYPE_CHECKING:
    from dispatch_cli.demo.clips import Clip
    from dispatch_cli.demo.display import Display
    from dispatch_cli.demo.summary import Summary

EXCERPT_S: Final = 8.0


@click.command("demo")
@click.option(
    "--input", "text", metavar="PATHS", envvar="DEMO_INPUT", help="Your own videos or folders [DEMO_INPUT]."
)
@click.option("--whole", is_flag=True, help="Transcode them whole, not just their first 8 s.")
@click.option(
    "--clips-seconds",
    type=click.FloatRange(0.5, 600),
    default=6.0,
    show_default=True,
    metavar="N",
    help="Length of the clips that are made without --input.",
)
@click.option("--time-limit", type=DURATION, default=300.0, metavar="DURATION", help="Give up then [5m].")
@click.option("--keep", is_flag=True, help="Keep the folder with outputs, database and logs.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, and nothing else.")
@click.pass_context
@examples("dispatch demo", "dispatch demo --input ~/Videos --keep", "dispatch demo --json | jq .good")
def demo_command(
    context: click.Context,
    /,
    *,
    text: str | None,
    whole: bool,
    clips_seconds: float,
    time_limit: float,
    keep: bool,
    as_json: bool,
) -> None:
    """Show the whole system at work.

    It takes about half a minute. A server and three engines of different abilities start on this machine, jobs of four codecs are submitted, one
    engine is killed in the middle of its work, and another finishes its job. At the end every output is decoded.
    The exit code is 0 only if all of them are whole and every job is accounted for. Everything is removed again.
    """
    folder = Path(tempfile.mkdtemp(prefix="dispatch-demo-"))
    try:
        with _ended_by_sigterm():
            summary = _perform(folder, text, None if whole else EXCERPT_S, clips_seconds, time_limit, as_json)
    finally:
        if keep:
            click.echo(f"Everything is in {folder}", err=as_json)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    context.exit(ExitCode.OK if summary.good else ExitCode.NEGATIVE)


def _perform(
    folder: Path,
    text: str | None,
    excerpt_s: float | None,
    clips_seconds: float,
    limit_s: float,
    as_json: bool,
) -> Summary:
    from dispatch_cli.demo.closing import show_summary
    from dispatch_cli.demo.display import display
    from dispatch_cli.demo.plan import ENGINES, parts_of
    from dispatch_cli.demo.play import Play
    from dispatch_cli.demo.stage import Stage
    from dispatch_cli.demo.summary import summarise
    from dispatch_cli.opening import Connection, open_target
    from dispatch_cli.servers import Servers

    outputs = folder / "outputs"
    outputs.mkdir()
    with ExitStack() as resources:
        screen = resources.enter_context(display(silent=as_json))
        ffmpeg = _ffmpeg()
        parts = parts_of(_clips(folder, text, excerpt_s, clips_seconds, ffmpeg, screen))
        stage = resources.enter_context(Stage(folder, ffmpeg))
        url = stage.start_server()
        screen.say(f"A server listens at {url}, its database is {folder / 'dispatch.db'}.")
        for cast in ENGINES:
            screen.say(f"Engine {cast.id}: {cast.says}.")
        target = resources.enter_context(closing(open_target(Connection(servers=Servers.parse(url)))))
        played = Play(stage, target, screen, limit_s=limit_s).run(parts, outputs, url)
        summary = summarise(played, target, ffmpeg)
    if as_json:
        click.echo(json.dumps(summary.form(), indent=2))
    else:
        show_summary(summary)
    return summary


def _ffmpeg() -> Path:
    from dispatch_cli.engine.failures import TranscodeError
    from dispatch_cli.engine.ffmpeg import locate, read_version

    try:
        ffmpeg = locate()
        read_version(ffmpeg)
        return ffmpeg
    except TranscodeError as error:
        raise CommandFailure("no-ffmpeg", error.message, exit_code=ExitCode.USAGE) from error


def _clips(
    folder: Path, text: str | None, excerpt_s: float | None, seconds: float, ffmpeg: Path, screen: Display
) -> Sequence[Clip]:
    from dispatch_cli.demo.clips import make_clips, own_clips, parse_inputs
    from dispatch_cli.engine.host import host_facts

    place = folder / "inputs"
    place.mkdir()
    if text:
        clips = own_clips(parse_inputs(text), place, excerpt_s, ffmpeg)
        screen.say("Your videos are only read: " + ", ".join(dict.fromkeys(clip.name for clip in clips)))
    else:
        clips = make_clips(place, seconds, int(str(host_facts()["cpus"])), ffmpeg)
        made = ", ".join(f"{clip.name} ({clip.picture}, {clip.seconds:.0f} s)" for clip in clips)
        screen.say(f"Clips made: {made}. To see it with your own: DEMO_INPUT=PATH make demo")
    return clips


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM clean up as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
