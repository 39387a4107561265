"""The one error of media work, typed by what has to change before a repeat could succeed."""

import errno
import re
import signal
from collections.abc import Iterable
from typing import Final, Literal

from attrs import frozen

FailureClass = Literal["input", "engine", "resource", "timeout", "cancelled"]

MESSAGE_CHARS_MAX: Final = 300
DETAIL_CHARS_MAX: Final = 4_000


class TranscodeError(Exception):
    """Media work failed.

    `failure_class` says who is to blame, so that a retry policy can tell them apart:

    - `input`: the source or the parameters; the same job fails everywhere;
    - `engine`: this engine's ffmpeg lacks something, crashed or was killed;
    - `resource`: storage or memory of this engine ran out or is not reachable;
    - `timeout`: a limit given by the caller, or a remote source's silence;
    - `cancelled`: somebody asked for it.

    `message` is one short line; `detail` is the end of what ffmpeg said, bounded, possibly empty.
    """

    def __init__(self, failure_class: FailureClass, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.failure_class: Final[FailureClass] = failure_class
        self.message: Final = message[:MESSAGE_CHARS_MAX]
        self.detail: Final = detail[-DETAIL_CHARS_MAX:]

    def __str__(self) -> str:
        return f"{self.failure_class}: {self.message}"

    def __reduce__(self) -> tuple[type["TranscodeError"], tuple[FailureClass, str, str]]:
        return type(self), (self.failure_class, self.message, self.detail)


@frozen
class _Sign:
    """Words of ffmpeg that tell whose failure it is."""

    failure_class: FailureClass
    pattern: re.Pattern[str]


def _sign(failure_class: FailureClass, *alternatives: str) -> _Sign:
    return _Sign(failure_class, re.compile("|".join(alternatives), re.IGNORECASE))


# The first sign found anywhere decides, not the first line: ffmpeg reports a full disk as a muxing error, a
# trailer error and the reason, in changing order. Resources come first, because what follows from a lack of
# them looks like any other failure; a missing encoder comes before the input, because ffmpeg then also
# fails to "open" its files.
_SIGNS: Final = (
    _sign(
        "resource",
        r"No space left on device",
        r"Disk quota exceeded",
        r"File too large",
        r"Cannot allocate memory",
        r"\bout of memory\b",
        r"Too many open files",
        r"Read-only file system",
        r"Input/output error",
        r"Stale file handle",
        r"Error opening output.*: (No such file|Permission denied|Not a directory|Is a directory)",
    ),
    _sign(
        "engine",
        r"Unknown encoder",
        r"Encoder not found",
        r"Error selecting an encoder",
        r"Unknown decoder",
        r"Decoder\b.* not found",
        r"No decoder",
        r"Unrecognized option",
        r"No such filter",
        r"init_hw_device",
        r"Device creation failed",
        r"No capable devices found",
        r"No device available",
        r"Could not find a valid device",
        r"Cannot load \S*(cuda|nvenc|amf|mfx|vpl)",
        r"OpenEncodeSessionEx failed",
    ),
    _sign(
        "input",
        r"Error opening input",
        r"moov atom not found",
        r"Invalid data found when processing input",
        r"matches no streams",
        r"does not contain any stream",
        r"Could not find codec parameters",
        r"not on whitelist",
    ),
    _sign(
        "input",
        r"invalid preset",
        r"Error setting (option|preset)",
        r"Error applying encoder options",
        r"Unable to parse",
        r"Undefined constant",
        r"Option \S* ?not found",
        r"not divisible by",
        r"are supported for WebM",
        r"Could not find tag for codec",
        r"Could not write header",
        r"Invalid channel layout",
    ),
)

_PREFIXES: Final = re.compile(r"^(\[[^\]]*\] ?)+")
_STORAGE_ERRNOS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE}
)


def classify(exit_code: int, stderr: str) -> TranscodeError:
    """The error that an ffmpeg ended with: from its exit code (negative: the signal) and what it said."""
    if exit_code < 0:
        return _killed(-exit_code, stderr)
    unknown = TranscodeError(
        "engine", _last_line(stderr) or f"ffmpeg ended with exit code {exit_code}", stderr
    )
    return _first(_SIGNS, stderr) or unknown


def storage_trouble(stderr: str) -> TranscodeError | None:
    """The trouble with storage that an ffmpeg met, which up to release 5 does not show in its exit code.

    It writes half a file onto a full disk, says so, and ends with 0.
    """
    return _first([sign for sign in _SIGNS if sign.failure_class == "resource"], stderr)


def storage_failure(error: OSError, what: str) -> TranscodeError:
    """The error for a file operation of our own that failed while doing `what`."""
    reason = error.strerror or str(error)
    if error.errno in _STORAGE_ERRNOS or error.errno == errno.ENOMEM:
        return TranscodeError("resource", f"{what}: {reason}")
    return TranscodeError("resource", f"{what}: {reason} (is this engine's storage mounted and writable?)")


def _first(signs: Iterable[_Sign], stderr: str) -> TranscodeError | None:
    for sign in signs:
        for line in stderr.splitlines():
            if sign.pattern.search(line):
                return TranscodeError(sign.failure_class, _tidy(line), stderr)
    return None


def _killed(number: int, stderr: str) -> TranscodeError:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGXFSZ":
        return TranscodeError("resource", "ffmpeg reached the system's file size limit", stderr)
    hint = " (the system does this when memory runs out)" if name == "SIGKILL" else ""
    return TranscodeError("engine", f"ffmpeg was killed by {name}{hint}", stderr)


def _tidy(line: str) -> str:
    return _PREFIXES.sub("", line.strip())


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return _tidy(lines[-1]) if lines else ""
