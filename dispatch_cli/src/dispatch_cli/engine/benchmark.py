"""Measure how fast this engine encodes, in a few seconds, per codec and resolution."""

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from attrs import frozen

from dispatch_cli.engine.encoders import Coder, software_encoder, tuning_options
from dispatch_cli.engine.failures import TranscodeError, classify
from dispatch_cli.engine.ffmpeg import list_encoders, locate, read_version
from dispatch_cli.engine.limits import Limits
from dispatch_cli.engine.process import WATCHED, Child, Finished

CELL_S_MAX: Final = 2.0
FIRST_MEDIA_S: Final = 1.0
MEDIA_S_MAX: Final = 60.0
FRAMES_PER_S: Final = 25
# A second, longer measurement pays only if it outweighs the first, in which starting ffmpeg weighs much.
WORTH_REPEATING: Final = 2.0

PICTURE_SIZES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "360p": (640, 360),
        "480p": (854, 480),
        "720p": (1280, 720),
        "1080p": (1920, 1080),
        "1440p": (2560, 1440),
        "2160p": (3840, 2160),
    }
)
DEFAULT_CELLS: Final = (("h264", "360p"), ("hevc", "360p"), ("av1", "360p"), ("vp9", "360p"))


@frozen(kw_only=True)
class Cell:
    """One measurement: encoding pictures of `testsrc2` (their making included) with nothing else running.

    `seconds_per_unit` is wall time per second of media, the inverse of `media_seconds_per_second`.
    """

    task_class: str
    seconds_per_unit: float
    media_seconds_per_second: float
    encoder: str
    options: Sequence[str]
    ffmpeg: str
    width: int
    height: int
    media_s: float
    wall_s: float
    complete: bool


@frozen(kw_only=True)
class BenchmarkReport:
    """The cells measured, and for those left out the reason."""

    cells: Sequence[Cell]
    left_out: Mapping[str, str]
    wall_s: float


def run_benchmark(
    ffmpeg: Path | None = None,
    *,
    budget_s: float = 6.0,
    cells: Sequence[tuple[str, str]] = DEFAULT_CELLS,
    coders: Collection[Coder] | None = None,
) -> BenchmarkReport:
    """Measure each (codec, resolution) with its best software encoder and our default preset.

    A cell takes at most 2 s and its share of what is left of the budget. One that fails, or shows not one
    encoded frame in its time, is left out with its reason. Raises `TranscodeError` `engine` only if this is
    no ffmpeg.
    """
    started = time.monotonic()
    tool = ffmpeg or locate()
    bench = _Bench(ffmpeg=tool, version=read_version(tool).number, coders=coders or list_encoders(tool))
    measured: list[Cell] = []
    left_out: dict[str, str] = {}
    for index, (codec, resolution) in enumerate(cells):
        remaining = budget_s - (time.monotonic() - started)
        share = min(CELL_S_MAX, remaining / (len(cells) - index))
        try:
            measured.append(bench.cell(codec, resolution, share))
        except TranscodeError as error:
            left_out[_task_class(codec, resolution)] = error.message
    return BenchmarkReport(cells=measured, left_out=left_out, wall_s=time.monotonic() - started)


@frozen(kw_only=True)
class _Bench:
    ffmpeg: Path
    version: str
    coders: Collection[Coder]

    def cell(self, codec: str, resolution: str, share_s: float) -> Cell:
        if share_s <= 0:
            raise TranscodeError("timeout", "the time for the benchmark was used up")
        size = PICTURE_SIZES.get(resolution)
        if size is None:
            raise TranscodeError("input", f"unknown resolution: one of {', '.join(PICTURE_SIZES)}")
        encoder = software_encoder(codec, self.coders)
        options = tuning_options(encoder)
        media_s, done = self._measure(["-c:v", encoder, *options], size, share_s)
        speed = media_s / done.ran_s
        return Cell(
            task_class=_task_class(codec, resolution),
            seconds_per_unit=1 / speed,
            media_seconds_per_second=speed,
            encoder=encoder,
            options=options,
            ffmpeg=self.version,
            width=size[0],
            height=size[1],
            media_s=media_s,
            wall_s=done.ran_s,
            complete=done.stopped is None,
        )

    def _measure(self, options: list[str], size: tuple[int, int], share_s: float) -> tuple[float, Finished]:
        """Encode a second; if that was quick, as much more as should fit into two thirds of the time left."""
        done = self._encode(options, size, FIRST_MEDIA_S, share_s)
        fits_s = min(FIRST_MEDIA_S * (share_s - done.ran_s) / 1.5 / done.ran_s, MEDIA_S_MAX)
        if done.stopped is None and fits_s >= WORTH_REPEATING:
            media_s = float(int(fits_s))
            return _reached(self._encode(options, size, media_s, share_s - done.ran_s), media_s)
        return _reached(done, FIRST_MEDIA_S)

    def _encode(self, options: list[str], size: tuple[int, int], media_s: float, limit_s: float) -> Finished:
        pictures = f"testsrc2=size={size[0]}x{size[1]}:rate={FRAMES_PER_S}:duration={media_s:g}"
        source = ["-f", "lavfi", "-i", pictures]
        with Child([self.ffmpeg, *WATCHED, *source, *options, "-f", "null", "-"]) as child:
            done = child.follow(lambda _reading: None, Limits(run_s=limit_s))
        if done.stopped is None and done.exit_code != 0:
            raise classify(done.exit_code, done.stderr)
        return done


def _reached(done: Finished, media_s: float) -> tuple[float, Finished]:
    """The media seconds encoded: all, or on a slow machine as many as there was time for."""
    reached_s = media_s if done.stopped is None else (done.last.out_time_us or 0) / 1e6
    if reached_s <= 0:
        raise TranscodeError("timeout", f"not one frame was encoded within {done.ran_s:.1f} s")
    return reached_s, done


def _task_class(codec: str, resolution: str) -> str:
    return f"{codec}/{resolution}/encode"
