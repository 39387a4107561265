"""What runs the work of a lease, one runner per kind of job; transcodes are the first."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final, Protocol

from attrs import field, frozen

from dispatch_cli.agent.leases import Lease
from dispatch_cli.engine.encoders import Coder
from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.locations import is_remote
from dispatch_cli.engine.recipe import Transcode
from dispatch_cli.engine.transcode import Progress, Transcoded, TranscodeRun, temporary_path

TRANSCODE: Final = "transcode"


@frozen(kw_only=True)
class News:
    """How far a run is, as the server takes it."""

    fraction: float
    speed: float | None = None
    message: str = ""


class RunFailedError(Exception):
    """A run failed. ``retryable`` is False only if no repeat anywhere can succeed."""

    def __init__(self, failure_class: str, message: str, *, detail: str = "", retryable: bool = True) -> None:
        super().__init__(message)
        self.failure_class = failure_class
        self.message = message
        self.detail = detail
        self.retryable = retryable


class WithdrawnError(Exception):
    """The attempt no longer counts or is no longer wanted; its result must not appear. Raised by ``confirm``."""


class Run(Protocol):
    """One run of one lease."""

    def run(self) -> Mapping[str, object]:
        """Do the work in this thread and return its result, which is then in place.

        Raises RunFailedError; WithdrawnError as ``confirm`` does. Nothing has then changed outside.
        """
        ...

    def cancel(self) -> None:
        """End it within 2 s, from any thread, at any time; too late is no error."""
        ...


class Runner(Protocol):
    """Runs one kind of job."""

    @property
    def kind(self) -> str:
        """The kind."""
        ...

    def prepare(self, lease: Lease, tell: Callable[[News], None], confirm: Callable[[], None]) -> Run:
        """A run that has not begun. Raises RunFailedError for parameters that do not fit.

        The run must call ``confirm`` once, when nothing is left but to put the finished result in place.
        """
        ...


@frozen(kw_only=True)
class TranscodeRunner:
    """Runs transcodes with one ffmpeg. Remote sources are fetched into ``scratch``."""

    ffmpeg: Path
    coders: Collection[Coder] = field(repr=False)
    scratch: Path
    kind: str = TRANSCODE

    def prepare(self, lease: Lease, tell: Callable[[News], None], confirm: Callable[[], None]) -> Run:
        """See ``Runner``."""
        try:
            wanted = Transcode.from_mapping(
                {name: value for name, value in lease.parameters.items() if value is not None}
            )
        except TranscodeError as error:
            raise _failed(error, retryable=False) from error
        return _TranscodeJob(self, lease, wanted, tell, confirm)


class _TranscodeJob:
    """A transcode as a ``Run``."""

    def __init__(
        self,
        runner: TranscodeRunner,
        lease: Lease,
        wanted: Transcode,
        tell: Callable[[News], None],
        confirm: Callable[[], None],
    ) -> None:
        self._lease = lease
        self._wanted = wanted
        self._tell = tell
        self._fetching = is_remote(wanted.source)
        self._run = TranscodeRun(
            wanted,
            attempt_tag=attempt_tag(lease),
            ffmpeg=runner.ffmpeg,
            coders=runner.coders,
            limits=lease.limits,
            scratch=runner.scratch,
            on_progress=self._on_progress,
            before_publish=confirm,
        )

    def run(self) -> Mapping[str, object]:
        """See ``Run``."""
        try:
            done = self._run.run()
        except TranscodeError as error:
            # A remote source may be back tomorrow; a missing or undecodable file stays what it is.
            raise _failed(error, retryable=error.failure_class != "input" or self._fetching) from error
        clear_leftovers(self._wanted.target_path, self._lease)
        return _result(self._wanted, done)

    def cancel(self) -> None:
        """See ``Run``."""
        self._run.cancel()

    def _on_progress(self, progress: Progress) -> None:
        match progress.stage:
            case "fetch":
                received = (progress.total_size_bytes or 0) / 1e6
                self._tell(News(fraction=0.0, message=f"fetching the source, {received:.1f} MB so far"))
            case "encode" | "done":
                self._fetching = False
                fps = f", {progress.fps:.0f} frames/s" if progress.fps else ""
                self._tell(News(fraction=progress.fraction, speed=progress.speed, message=f"encoding{fps}"))


def attempt_tag(lease: Lease) -> str:
    """What tells the temporary files of attempts apart: the job, then the token, which is never issued twice."""
    return f"{lease.job_id}.{lease.token}"[-64:]


def clear_leftovers(target: Path, lease: Lease) -> None:
    """Remove what earlier attempts of this job left beside the target when their engines were killed.

    Called after this attempt has won, so whoever still writes one of them has lost its lease.
    """
    own = temporary_path(target, attempt_tag(lease)).name
    head, _, tail = own.rpartition(f"{lease.job_id}.{lease.token}")
    if not tail:
        return
    for path in target.parent.iterdir():
        if path.name.startswith(f"{head}{lease.job_id}.") and path.name.endswith(tail) and path.name != own:
            path.unlink(missing_ok=True)


def clear_scratch(scratch: Path) -> None:
    """Make the folder for fetched sources, and remove those that a killed agent left in it.

    Raises OSError if there can be no such folder, or if it is somebody else's.
    """
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and scratch.stat().st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(scratch))
    for path in scratch.glob("dispatch-source-*"):
        path.unlink(missing_ok=True)


def free_bytes(scratch: Path) -> int | None:
    """What is free where sources are fetched to."""
    try:
        return shutil.disk_usage(scratch).free
    except OSError:
        return None


def _failed(error: TranscodeError, *, retryable: bool) -> RunFailedError:
    return RunFailedError(error.failure_class, error.message, detail=error.detail, retryable=retryable)


def _result(wanted: Transcode, done: Transcoded) -> dict[str, object]:
    seconds = None if done.media.duration_us is None else done.media.duration_us / 1e6
    return {
        "target": wanted.target,
        "size_bytes": done.media.size_bytes,
        "duration_s": seconds,
        "codec": done.media.video_codec,
        "audio": done.media.audio_codec,
        "width": done.media.width,
        "height": done.media.height,
        "encoder": done.encoder,
        "encode_s": round(done.encode_s, 3),
    }
