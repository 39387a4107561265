"""Read what is in a media file, check that all of it decodes, and make small clips."""

import os
import re
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from dispatch_cli.engine.encoders import software_encoder, tuning_options
from dispatch_cli.engine.failures import TranscodeError, classify, storage_trouble
from dispatch_cli.engine.ffmpeg import list_encoders, locate
from dispatch_cli.engine.limits import Limits
from dispatch_cli.engine.process import WATCHED, Child, Finished, capture

PROBE_TIMEOUT_S: Final = 30.0

# Anchored to the indentation that ffmpeg gives these lines: titles and tags are free text and stand further
# in.
_DURATION: Final = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d)\.(\d\d)", re.MULTILINE)
_STREAM: Final = re.compile(r"^  Stream #0:\d+.*?: (Video|Audio): (\w+)(.*)$", re.MULTILINE)
_SIZE: Final = re.compile(r", (\d{1,5})x(\d{1,5})\b")
_RATE: Final = re.compile(r", ([\d.]+)(k?) fps\b")
_SHORT_US: Final = 500_000


@frozen(kw_only=True)
class MediaInfo:
    """What a media file says of itself; None where it does not say, or has no such stream.

    `width`, `height`, `fps` and `video_codec` are those of the first video stream that is not a cover
    picture.
    """

    duration_us: int | None
    width: int | None
    height: int | None
    fps: float | None
    video_codec: str | None
    audio_codec: str | None
    size_bytes: int


def file_argument(path: Path) -> str:
    """A path as ffmpeg takes it for a file, whatever is in it: `-x`, `a:b` and `http:` are names, too."""
    return f"file:{path.absolute()}"


def input_options(path: Path) -> list[str]:
    """Options that open a local file and nothing else: a playlist cannot make ffmpeg use the network."""
    return ["-protocol_whitelist", "file", "-i", file_argument(path)]


def probe_media(path: Path, ffmpeg: Path | None = None) -> MediaInfo:
    """What `ffmpeg -i` tells of a file, in some 30 ms and without ffprobe.

    Raises `TranscodeError`: `input` if the file is missing, unreadable or no media, `timeout` if its
    storage hangs.
    """
    size_bytes = _size(path)
    said = capture(
        [ffmpeg or locate(), "-nostdin", "-hide_banner", *input_options(path)], timeout_s=PROBE_TIMEOUT_S
    )
    if not re.search(r"^Input #0, ", said.stderr, re.MULTILINE):
        raise classify(said.exit_code, said.stderr)
    return parse_media(said.stderr, size_bytes)


def parse_media(report: str, size_bytes: int) -> MediaInfo:
    """What ffmpeg's description of an input says."""
    video = audio = None
    for kind, codec, rest in _STREAM.findall(report):
        if kind == "Video" and video is None and "(attached pic)" not in rest:
            video = (codec, rest)
        elif kind == "Audio" and audio is None:
            audio = codec
    picture = _SIZE.search(video[1]) if video else None
    return MediaInfo(
        duration_us=_duration_us(report),
        width=int(picture.group(1)) if picture else None,
        height=int(picture.group(2)) if picture else None,
        fps=_rate(video[1]) if video else None,
        video_codec=video[0] if video else None,
        audio_codec=audio,
        size_bytes=size_bytes,
    )


def verify_decodes(path: Path, ffmpeg: Path | None = None, *, timeout_s: float = 3_600.0) -> MediaInfo:
    """Decode the whole file and return what it says of itself, `duration_us` being what was really decoded.

    Raises `TranscodeError` `input` at the first frame that is damaged, or when the file ends before the
    duration it declares (ffmpeg itself calls a file cut in half a success); `timeout` after `timeout_s`.
    """
    tool = ffmpeg or locate()
    media = probe_media(path, tool)
    done = _run(tool, ["-xerror", *input_options(path), "-f", "null", "-"], timeout_s)
    if done.exit_code > 0 and not done.stderr.strip():  # release 5 ends at a damaged frame without a word
        raise TranscodeError("input", f"{path.name} is damaged")
    _check_end(done)
    decoded_us = done.last.out_time_us or 0
    if media.duration_us is not None and falls_short(decoded_us, media.duration_us):
        raise TranscodeError("input", _cut_short(path, decoded_us, media.duration_us), done.stderr)
    return evolve(media, duration_us=decoded_us)


def falls_short(reached_us: int, declared_us: int) -> bool:
    """Whether media ended early: by more than half a second and 5 %, as declared durations are rounded."""
    return declared_us - reached_us > max(min(_SHORT_US, declared_us // 4), declared_us // 20)


def check_folder(path: Path) -> None:
    """Raise `TranscodeError` `resource` unless a file can be made at `path`."""
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise TranscodeError(
            "resource", f"the folder {path.parent} is missing or not writable on this engine"
        )


def make_clip(
    path: Path,
    seconds: float,
    *,
    width: int = 320,
    height: int = 180,
    fps: int = 25,
    audio: bool = True,
    ffmpeg: Path | None = None,
    timeout_s: float = 120.0,
) -> MediaInfo:
    """Make a real clip of moving test pictures and a tone, in H.264 where this ffmpeg can, else MPEG-4.

    The container follows from the suffix of the path. Raises `TranscodeError` as a transcode does.
    """
    tool = ffmpeg or locate()
    check_folder(path)
    video = ["-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate={fps}:duration={seconds:g}"]
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds:g}", "-c:a", "aac"] if audio else []
    options = [*video, *tone, *_clip_encoder(tool), file_argument(path)]
    _check_end(_run(tool, options, timeout_s))
    return probe_media(path, tool)


def _clip_encoder(ffmpeg: Path) -> list[str]:
    coders = list_encoders(ffmpeg)
    try:
        encoder = software_encoder("h264", coders)
    except TranscodeError:
        encoder = software_encoder("mpeg4", coders)
    return ["-c:v", encoder, *tuning_options(encoder, "ultrafast" if encoder == "libx264" else None)]


def _run(ffmpeg: Path, options: list[str], timeout_s: float) -> Finished:
    with Child([ffmpeg, *WATCHED, "-y", *options]) as child:
        done = child.follow(lambda _reading: None, Limits(run_s=timeout_s))
    if done.stopped is not None:
        raise TranscodeError("timeout", f"ffmpeg took longer than {timeout_s:g} s", done.stderr)
    return done


def _check_end(done: Finished) -> None:
    if done.exit_code != 0:
        raise classify(done.exit_code, done.stderr)
    trouble = storage_trouble(done.stderr)
    if trouble is not None:
        raise trouble


def _size(path: Path) -> int:
    """The size of a readable regular file; everything else is the job's mistake."""
    try:
        with path.open("rb") as file:
            return file.seek(0, 2)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TranscodeError("input", f"cannot read {path}: {reason}") from None


def _duration_us(report: str) -> int | None:
    found = _DURATION.search(report)
    if found is None:
        return None
    hours, minutes, seconds, hundredths = map(int, found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + hundredths * 10_000


def _rate(stream: str) -> float | None:
    found = _RATE.search(stream)
    return float(found.group(1)) * (1_000 if found.group(2) else 1) if found else None


def _cut_short(path: Path, reached_us: int, declared_us: int) -> str:
    return f"{path.name} ends at {reached_us / 1e6:.2f} s of the {declared_us / 1e6:.2f} s it declares"
