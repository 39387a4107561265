"""What the demo transcodes: clips it makes, or the user's own files, which are only ever read."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.media import MediaInfo, file_argument, input_options, make_clip, probe_media
from dispatch_cli.engine.process import capture
from dispatch_cli.exits import CommandFailure, ExitCode

FILES_MAX: Final = 12
LOOKED_AT_MAX: Final = 200
EXCERPT_TIMEOUT_S: Final = 60.0
LONG_S_MIN: Final = 5.0
LONG_S_MAX: Final = 90.0
_SIZES: Final = (("large", 1280, 720), ("medium", 640, 360), ("small", 320, 180))


@frozen(kw_only=True)
class Clip:
    """A source of the demo: its name for people, where it is, what it says of itself."""

    name: str
    path: Path
    media: MediaInfo

    @property
    def picture(self) -> str:
        """Its size as people say it."""
        return f"{self.media.width}x{self.media.height}"

    @property
    def seconds(self) -> float:
        """How long it is; 0 if it does not say."""
        return (self.media.duration_us or 0) / 1e6


def make_clips(folder: Path, seconds: float, cpus: int, ffmpeg: Path) -> list[Clip]:
    """Clips of three sizes, largest first.

    The largest is made longer the more processors there are: it is the job whose engine will be killed, so it must
    take some seconds anywhere.
    """
    long_s = min(max(seconds, LONG_S_MIN) * max(cpus, 2) / 2, LONG_S_MAX)
    made = []
    for name, width, height in _SIZES:
        path = folder / f"{name}.mp4"
        media = make_clip(
            path, long_s if name == "large" else seconds, width=width, height=height, ffmpeg=ffmpeg
        )
        made.append(Clip(name=path.name, path=path, media=media))
    return made


def parse_inputs(text: str) -> list[Path]:
    """The paths in a text: one path, or several separated as in PATH, or by spaces with a shell's quotes."""
    if Path(text).exists():
        return [Path(text)]
    parts = text.split(os.pathsep)
    if not all(Path(part).exists() for part in parts if part):
        parts = [word for part in parts for word in ([part] if Path(part).exists() else shlex.split(part))]
    return [Path(part) for part in parts if part]


def own_clips(paths: Sequence[Path], folder: Path, excerpt_s: float | None, ffmpeg: Path) -> list[Clip]:
    """The videos among the user's files and folders, longest first; of long ones an excerpt made in ``folder``.

    Raises CommandFailure for a path that is not there, or if none of the files is a video.
    """
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        raise CommandFailure("no-input", f"{missing} does not exist", exit_code=ExitCode.USAGE)
    found = []
    for path in _files(paths):
        clip = _clip(path, folder, excerpt_s, ffmpeg)
        if clip is not None:
            found.append(clip)
        if len(found) == FILES_MAX:
            break
    if not found:
        named = ", ".join(map(str, paths))
        raise CommandFailure("no-input", f"there is no video in {named}", exit_code=ExitCode.USAGE)
    return sorted(found, key=lambda clip: -clip.seconds)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    looked_at = 0
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for each in inside:
            if each.is_file() and not each.name.startswith("."):
                looked_at += 1
                if looked_at > LOOKED_AT_MAX:
                    return
                yield each.absolute()


def _clip(path: Path, folder: Path, excerpt_s: float | None, ffmpeg: Path) -> Clip | None:
    try:
        media = probe_media(path, ffmpeg)
    except TranscodeError:
        return None
    if media.video_codec is None or media.width is None or not media.duration_us:
        return None
    if excerpt_s is not None and media.duration_us > excerpt_s * 1.5e6:
        return _excerpt(path, folder, excerpt_s, ffmpeg) or Clip(name=path.name, path=path, media=media)
    return Clip(name=path.name, path=path, media=media)


def _excerpt(path: Path, folder: Path, seconds: float, ffmpeg: Path) -> Clip | None:
    """The beginning of a file, its streams copied as they are; None if they cannot be."""
    target = folder / f"{len(list(folder.iterdir()))}-{path.stem[:40]}.mkv"
    streams = ["-map", "0:V:0", "-map", "0:a:0?", "-c", "copy", "-t", f"{seconds:g}"]
    command: list[str | Path] = [
        ffmpeg,
        "-nostdin",
        "-v",
        "error",
        *input_options(path),
        *streams,
        file_argument(target),
    ]
    try:
        if capture(command, timeout_s=EXCERPT_TIMEOUT_S).exit_code != 0:
            return None
        return Clip(name=path.name, path=target, media=probe_media(target, ffmpeg))
    except TranscodeError:
        return None
