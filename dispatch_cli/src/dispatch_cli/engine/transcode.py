"""Run one transcode: watch, limit or cancel it; its result appears at the target whole or not at all."""

import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from attrs import frozen

from dispatch_cli.engine.encoders import Coder
from dispatch_cli.engine.failures import TranscodeError, classify, storage_failure, storage_trouble
from dispatch_cli.engine.ffmpeg import list_encoders, locate
from dispatch_cli.engine.limits import FetchLimits, Limits
from dispatch_cli.engine.locations import shown
from dispatch_cli.engine.media import MediaInfo, check_folder, falls_short, probe_media
from dispatch_cli.engine.process import WATCHED, Child, Finished, Reading
from dispatch_cli.engine.recipe import Transcode, choose_encoder, command_options
from dispatch_cli.engine.sources import open_source

GRACE_S: Final = 1.0
CANCEL_S: Final = 2.0
RUNNING_FRACTION_MAX: Final = 0.99
NAME_BYTES_MAX: Final = 255

_TAG: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@frozen(kw_only=True)
class Progress:
    """How far a run is. `fraction` never falls and is 1 only once the target exists.

    In stage `fetch` it is 0 and `total_size_bytes` counts what was fetched; in stage `encode`
    `total_size_bytes` is the size of the output so far. `fraction` stays 0 if the source does not say how
    long it is.
    """

    stage: Literal["fetch", "encode", "done"]
    fraction: float
    speed: float | None = None
    fps: float | None = None
    out_time_us: int | None = None
    total_size_bytes: int | None = None


@frozen(kw_only=True)
class Transcoded:
    """What a successful run made, with which encoder, and the seconds that ffmpeg took."""

    target: Path
    source_media: MediaInfo
    media: MediaInfo
    encoder: str
    encode_s: float


def temporary_path(target: Path, attempt_tag: str) -> Path:
    """Where an attempt writes before it is done: hidden, beside the target, its own for every tag.

    Raises ValueError for a tag that is not 1 to 64 letters, digits, dots, dashes or underscores.
    """
    if not _TAG.fullmatch(attempt_tag):
        raise ValueError(f"not an attempt tag: {attempt_tag!r}")
    ending = f".{attempt_tag}.part"
    room = NAME_BYTES_MAX - len(ending) - 1
    stem = target.name.encode()[:room].decode("utf-8", "ignore")
    return target.with_name(f".{stem}{ending}")


class TranscodeRun:
    """One run of a transcode. `run` once, in a thread that waits for it; `cancel` from any other.

    `attempt_tag` makes the temporary name unique among attempts at the same target, which may overlap when
    a lease was lost. `coders` is the result of `list_encoders`, to be had once per engine. Remote sources
    are fetched into `scratch`. ffmpeg gets `limits`; a progress callback that raises ends the run. `before_publish` is called once,
    when the whole result is on disk and lacks only its name; by raising it leaves the target as it was.
    """

    def __init__(
        self,
        transcode: Transcode,
        *,
        attempt_tag: str,
        ffmpeg: Path | None = None,
        coders: Collection[Coder] | None = None,
        limits: Limits | None = None,
        fetch_limits: FetchLimits | None = None,
        scratch: Path | None = None,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
        before_publish: Callable[[], None] = lambda: None,
    ) -> None:
        self._transcode = transcode
        self._target = transcode.target_path
        self._temporary = temporary_path(self._target, attempt_tag)
        self._ffmpeg = ffmpeg or locate()
        self._coders = coders
        self._limits = limits or Limits()
        self._fetch_limits = fetch_limits or FetchLimits()
        self._scratch = scratch
        self._on_progress = on_progress
        self._before_publish = before_publish
        self._fraction = 0.0
        self._lock = threading.Lock()  # guards the three that follow
        self._child: Child | None = None
        self._started = False
        self._published = False
        self._cancelled = threading.Event()
        self._over = threading.Event()

    def run(self) -> Transcoded:
        """Do it all and return what was made; the target then exists, whole and on disk.

        Raises `TranscodeError`; the target is then as it was before, and nothing temporary is left.
        """
        with self._lock:
            assert not self._started, "a run runs once"
            self._started = True
        try:
            return self._fetch_and_encode()
        finally:
            self._over.set()

    def cancel(self) -> bool:
        """End the run and wait until it has cleaned up, for at most 2 s in all.

        Returns whether it was in time: True means that the target will not appear, False that it already has.
        A run cancelled before it began ends as soon as it begins.
        """
        deadline = time.monotonic() + CANCEL_S
        with self._lock:
            if self._published:
                return False
            self._cancelled.set()
            child, started = self._child, self._started
        if child is not None:
            child.stop("cancelled", grace_s=GRACE_S)
        if started:
            self._over.wait(max(0.0, deadline - time.monotonic()))
        return True

    def _fetch_and_encode(self) -> Transcoded:
        self._check_target()
        with open_source(
            self._transcode.source,
            folder=self._scratch,
            limits=self._fetch_limits,
            cancelled=self._cancelled,
            on_bytes=lambda received, _total: self._tell("fetch", total_size_bytes=received),
        ) as source:
            return self._encode(source)

    def _encode(self, source: Path) -> Transcoded:
        coders = self._coders if self._coders is not None else list_encoders(self._ffmpeg)
        encoder = choose_encoder(self._transcode, coders)
        media = probe_media(source, self._ffmpeg)
        if media.video_codec is None:
            raise TranscodeError("input", f"{shown(self._transcode.source)} has no video")
        options = command_options(self._transcode, source, media, self._temporary, encoder, coders)
        with self._cleared():
            done = self._follow(options, media)
            self._check(done, media)
            made = self._look_at_result(done)
            self._publish()
        self._tell("done", 1.0, done.last)
        return Transcoded(
            target=self._target, source_media=media, media=made, encoder=encoder.name, encode_s=done.ran_s
        )

    def _follow(self, options: list[str], media: MediaInfo) -> Finished:
        with self._begin(options) as child:
            return child.follow(lambda reading: self._on_reading(reading, media.duration_us), self._limits)

    def _begin(self, options: list[str]) -> Child:
        """Start ffmpeg, unless cancelled before; from here on `cancel` finds the child."""
        with self._lock:
            self._check_cancelled()
            self._child = Child([self._ffmpeg, *WATCHED, "-y", *options])
            return self._child

    def _on_reading(self, reading: Reading, duration_us: int | None) -> None:
        reached = (reading.out_time_us or 0) / duration_us if duration_us else 0.0
        self._tell("encode", min(reached, RUNNING_FRACTION_MAX), reading)

    def _tell(
        self,
        stage: Literal["fetch", "encode", "done"],
        fraction: float = 0.0,
        reading: Reading | None = None,
        total_size_bytes: int | None = None,
    ) -> None:
        self._fraction = max(self._fraction, fraction)
        reading = reading or Reading(total_size_bytes=total_size_bytes)
        self._on_progress(
            Progress(
                stage=stage,
                fraction=self._fraction,
                speed=reading.speed,
                fps=reading.fps,
                out_time_us=reading.out_time_us,
                total_size_bytes=reading.total_size_bytes,
            )
        )

    def _check_target(self) -> None:
        """Find out before hours of work what would make the last step fail."""
        if self._target.is_dir():
            raise TranscodeError("input", f"the target {self._target} is a folder")
        check_folder(self._target)

    def _check(self, done: Finished, media: MediaInfo) -> None:
        self._check_cancelled(done.stderr)
        match done.stopped:
            case "run-limit":
                raise TranscodeError("timeout", f"not done after {self._limits.run_s:g} s", done.stderr)
            case "no-progress-limit":
                limit = f"{self._limits.no_progress_s:g} s"
                raise TranscodeError("timeout", f"ffmpeg got no further for {limit}", done.stderr)
            case "cancelled" | None:
                pass
        if done.exit_code != 0:
            raise classify(done.exit_code, done.stderr)
        trouble = storage_trouble(done.stderr)
        if trouble is not None:
            raise trouble
        reached_us, declared_us = done.last.out_time_us or 0, media.duration_us or 0
        # ffmpeg takes a source that breaks off for one that ends. Errors must have been seen, too, because
        # a source with subtitles or a tail without pictures is rightly longer than its result.
        if done.stderr.strip() and falls_short(reached_us, declared_us):
            ends = f"{reached_us / 1e6:.2f} s of the {declared_us / 1e6:.2f} s it declares"
            raise TranscodeError("input", f"the source ends at {ends}", done.stderr)

    def _look_at_result(self, done: Finished) -> MediaInfo:
        """A last look at what will replace the target; ffmpeg's exit code has been 0 for broken files."""
        try:
            made = probe_media(self._temporary, self._ffmpeg)
        except TranscodeError as error:
            raise TranscodeError(
                "engine", f"the result is not readable: {error.message}", done.stderr
            ) from error
        if made.video_codec is None or falls_short(made.duration_us or 0, done.last.out_time_us or 0):
            raise TranscodeError("engine", "the result is shorter than what was encoded", done.stderr)
        return made

    def _check_cancelled(self, detail: str = "") -> None:
        if self._cancelled.is_set():
            raise TranscodeError("cancelled", "cancelled", detail)

    def _publish(self) -> None:
        try:
            _sync(self._temporary)
            self._before_publish()
            with self._lock:
                self._check_cancelled()
                self._temporary.replace(self._target)
                self._published = True
            _sync_folder(self._target.parent)
        except OSError as error:
            raise storage_failure(error, f"cannot put the result at {self._target}") from error

    @contextmanager
    def _cleared(self) -> Iterator[None]:
        try:
            yield
        finally:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Bring a file to the disk before its name says that it is complete."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Bring the new name to the disk, where the system lets folders be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network filesystems refuse; the rename itself has succeeded
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
