"""From the command line to a running agent: find ffmpeg, look at the machine, measure, begin."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from attrs import field, frozen

from dispatch_cli.agent.claiming import WAIT_S, WAIT_SEVERAL_S
from dispatch_cli.agent.client import Client
from dispatch_cli.agent.engine_agent import EngineAgent, Offer
from dispatch_cli.agent.logs import Log, LogFormat, make_log
from dispatch_cli.agent.offering import Wishes, measured, profile_of
from dispatch_cli.agent.runners import TranscodeRunner, clear_scratch, free_bytes
from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.ffmpeg import list_encoders, locate, probe
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.servers import Servers


@frozen(kw_only=True)
class Start:
    """Everything the command line says about an engine. Remote sources go into a folder of its own in ``work_dir``."""

    engine_id: str
    servers: Servers
    api_key: str | None = field(default=None, repr=False)
    wishes: Wishes
    work_dir: Path
    ffmpeg: str | None = None
    benchmark: bool = True
    drain_grace_s: float = 60.0
    log_format: LogFormat = "text"


def run(start: Start) -> int:
    """Be an engine until told to stop; the exit status. Raises CommandFailure."""
    log = make_log(start.log_format)
    client = Client(start.servers, api_key=start.api_key, log=log)
    wait_s = WAIT_S if len(start.servers) == 1 else WAIT_SEVERAL_S
    try:
        offer = look(start, log)
        return EngineAgent(offer, client, log, drain_grace_s=start.drain_grace_s, wait_s=wait_s).run()
    finally:
        client.close()


def look(start: Start, log: Log) -> Offer:
    """What this machine offers. Raises CommandFailure if there is no usable ffmpeg or no place to work."""
    try:
        ffmpeg = locate(start.ffmpeg)
        probed = probe(ffmpeg)
        coders = list_encoders(ffmpeg)
        cells = measured(ffmpeg, probed, start.wishes.codecs, log) if start.benchmark else []
    except TranscodeError as error:
        raise CommandFailure("no-ffmpeg", error.message, exit_code=ExitCode.USAGE) from error
    scratch = start.work_dir / f"dispatch-{start.engine_id}"
    try:
        clear_scratch(scratch)
    except OSError as error:
        message = f"cannot work in {scratch}: {error.strerror}"
        raise CommandFailure("work-dir", message, exit_code=ExitCode.USAGE) from error
    log.info("found ffmpeg", version=probed["ffmpeg"], path=str(ffmpeg), codecs=len(coders))
    runner = TranscodeRunner(ffmpeg=ffmpeg, coders=coders, scratch=scratch)
    return Offer(
        engine_id=start.engine_id,
        profile=profile_of(probed, start.wishes, cells, coders),
        slots=start.wishes.slots,
        runners={runner.kind: runner},
        free_bytes=partial(free_bytes, scratch),
    )
