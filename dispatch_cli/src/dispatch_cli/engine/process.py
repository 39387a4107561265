"""Run ffmpeg as a child that can be watched, limited and stopped, and that does not outlive its parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, Self

from attrs import field, frozen

from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.limits import Limits

Stopped = Literal["cancelled", "run-limit", "no-progress-limit"]

STDERR_TAIL_BYTES: Final = 16_384
PROGRESS_LINE_BYTES_MAX: Final = 4_096
PROGRESS_KEYS_MAX: Final = 64
SILENCE_S: Final = 0.25

# Every run of ffmpeg that can be long starts with these: no terminal, errors only, progress as key=value
# lines.
WATCHED: Final = ("-nostdin", "-hide_banner", "-v", "error", "-progress", "pipe:1", "-stats_period", "0.25")

# Linux ends the child with its parent only if the child itself asks for it before exec. Doing that in
# `preexec_fn` runs Python between fork and exec, which may deadlock in a process with threads; a tiny
# interpreter in between (20 ms) may not. The second line is for a parent that died before the request.
_TIED_TO_PARENT: Final = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"
    "os.getppid() == int(sys.argv[1]) or os._exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


@frozen(kw_only=True)
class Reading:
    """One block of ffmpeg's `-progress` output; None where it said `N/A` or nothing."""

    frame: int | None = None
    fps: float | None = None
    speed: float | None = None
    out_time_us: int | None = None
    total_size_bytes: int | None = None

    def beyond(self, other: "Reading") -> bool:
        """Whether this reading shows that ffmpeg got further since `other`."""
        return (
            (self.frame or 0) > (other.frame or 0)
            or (self.out_time_us or 0) > (other.out_time_us or 0)
            or (self.total_size_bytes or 0) > (other.total_size_bytes or 0)
        )


@frozen(kw_only=True)
class Finished:
    """How a child ended: exit code (negative: the signal), the end of its stderr, why we stopped it."""

    exit_code: int
    stderr: str
    stopped: Stopped | None
    last: Reading
    ran_s: float


@frozen(kw_only=True)
class Captured:
    """Exit code and complete output of a short run."""

    exit_code: int
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of every ffmpeg: no secrets of the agent, nothing that changes what ffmpeg prints.

    `SVT_LOG=1` silences SVT-AV1, which chats on stderr even with `-v error`.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("DISPATCH_")}
    for name in ("FFREPORT", "AV_LOG_FORCE_COLOR"):
        kept.pop(name, None)
    return {**kept, "AV_LOG_FORCE_NOCOLOR": "1", "SVT_LOG": "1"}


def capture(arguments: Sequence[str | Path], *, timeout_s: float) -> Captured:
    """Run a short command. Raises `TranscodeError` `timeout`, or `engine` if it cannot be started."""
    command = [str(argument) for argument in arguments]
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            env=child_environment(),
        )
    except subprocess.TimeoutExpired:
        raise TranscodeError("timeout", f"{command[0]} did not answer within {timeout_s:g} s") from None
    except OSError as error:
        raise _cannot_start(command[0], error) from error
    return Captured(exit_code=done.returncode, stdout=_text(done.stdout), stderr=_text(done.stderr))


class Child:
    """A running ffmpeg: a process group of its own, its newest progress, the tail of its stderr.

    Use it as a context manager: leaving the block ends the process, whatever happened. On Linux the process
    also dies with the thread that made it, so stay in that thread for as long as it runs; elsewhere the
    ffmpeg of a killed agent may run to its end, into a temporary file that nobody publishes.
    """

    def __init__(self, arguments: Sequence[str | Path]) -> None:
        self._started = time.monotonic()
        self._news = threading.Condition()
        self._latest: Reading | None = None
        self._ended = False
        self._stopped: Stopped | None = None
        self._tail = bytearray()
        self._process = _start([str(argument) for argument in arguments])
        self._threads = (
            threading.Thread(target=self._read_progress, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(self._process.stderr,), daemon=True),
        )
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("cancelled")
        for thread in self._threads:
            thread.join(timeout=1.0)

    def follow(self, on_reading: Callable[[Reading], None], limits: Limits) -> Finished:
        """Wait for the end, hand on each newest reading, and stop the child when it reaches a limit.

        Readings that come while `on_reading` is busy are skipped but for the newest, so a slow caller slows
        nothing.
        """
        last = Reading()
        advanced = time.monotonic()
        while not self._is_over():
            reading = self._take_news()
            now = time.monotonic()
            if reading is not None and reading.beyond(last):
                advanced, last = now, reading
            exceeded = _exceeded(limits, now - self._started, now - advanced)
            if exceeded is not None:
                self.stop(exceeded)
            elif reading is not None:
                on_reading(reading)
        return self._finished(last)

    def stop(self, why: Stopped, *, grace_s: float = 1.0) -> None:
        """End the process group: SIGTERM, SIGKILL after the grace. For any thread, any number of times."""
        if self._process.poll() is not None:
            return
        self._stopped = self._stopped or why
        self._signal("SIGTERM")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self._signal("SIGKILL")
        with suppress(subprocess.TimeoutExpired):  # a process that hangs in the kernel cannot be helped
            self._process.wait(0.5)

    def _is_over(self) -> bool:
        with self._news:
            return (
                self._latest is None and self._process.poll() is not None and (self._ended or self._silent())
            )

    def _silent(self) -> bool:
        """Whether nothing comes any more, though something else still holds the pipe of the dead process."""
        return not self._news.wait(SILENCE_S)

    def _take_news(self) -> Reading | None:
        with self._news:
            if self._latest is None and not self._ended:
                self._news.wait(SILENCE_S)
            reading, self._latest = self._latest, None
            ended = self._ended
        if ended and reading is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(SILENCE_S)
        return reading

    def _finished(self, last: Reading) -> Finished:
        ran_s = time.monotonic() - self._started
        if not self._ended:  # something it started lives on and holds the pipes
            self._signal("SIGKILL")
        self._threads[1].join(timeout=1.0)
        code = self._process.returncode
        stderr = _text(bytes(self._tail))
        return Finished(exit_code=code, stderr=stderr, stopped=self._stopped, last=last, ran_s=ran_s)

    def _signal(self, name: Literal["SIGTERM", "SIGKILL"]) -> None:
        if sys.platform == "win32":
            self._process.kill()
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, getattr(signal, name))

    def _read_progress(self, stream: IO[bytes]) -> None:
        values: dict[str, str] = {}
        with stream:
            while line := stream.readline(PROGRESS_LINE_BYTES_MAX):
                key, _, value = _text(line).partition("=")
                if key == "progress":
                    self._tell(_reading(values))
                    values = {}
                elif len(values) < PROGRESS_KEYS_MAX:
                    values[key] = value.strip()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _tell(self, reading: Reading) -> None:
        with self._news:
            self._latest = reading
            self._news.notify_all()

    def _read_errors(self, stream: IO[bytes]) -> None:
        with stream:
            while chunk := os.read(stream.fileno(), 65_536):
                self._tail += chunk
                del self._tail[:-STDERR_TAIL_BYTES]


def _exceeded(limits: Limits, ran_s: float, stuck_s: float) -> Stopped | None:
    if limits.run_s is not None and ran_s >= limits.run_s:
        return "run-limit"
    if limits.no_progress_s is not None and stuck_s >= limits.no_progress_s:
        return "no-progress-limit"
    return None


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            tied_to_parent(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise _cannot_start(command[0], error) from error


def tied_to_parent(command: list[str]) -> list[str]:
    """The command, on Linux made to die with the thread that starts it."""
    if sys.platform != "linux" or not sys.executable:
        return command
    return [sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT, str(os.getpid()), *command]


def _cannot_start(executable: str, error: OSError) -> TranscodeError:
    return TranscodeError("engine", f"cannot start {executable}: {error.strerror or error}")


def _reading(values: Mapping[str, str]) -> Reading:
    return Reading(
        frame=_whole(values.get("frame")),
        fps=_number(values.get("fps")),
        speed=_number(values.get("speed")),
        out_time_us=_whole(values.get("out_time_us")),
        total_size_bytes=_whole(values.get("total_size")),
    )


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").strip().removesuffix("x"))
    except ValueError:
        return None


def _whole(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
