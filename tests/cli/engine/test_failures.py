"""Failures are typed by who is to blame, from what ffmpeg said and how it ended."""

import errno
import pickle
import subprocess
from pathlib import Path

import pytest

from dispatch_cli.engine.failures import (
    DETAIL_CHARS_MAX,
    MESSAGE_CHARS_MAX,
    FailureClass,
    TranscodeError,
    classify,
    storage_failure,
    storage_trouble,
)
from dispatch_cli.engine.process import child_environment

# Copied from ffmpeg 9.0 unless said otherwise: (exit code, what it said, class, words of the message).
SAID: list[tuple[int, str, FailureClass, str]] = [
    (
        254,
        (
            "[in#0 @ 0x5629027abd00] Error opening input: No such file or directory\n"
            "Error opening input file nope.mp4.\nError opening input files: No such file or directory\n"
        ),
        "input",
        "Error opening input: No such file or directory",
    ),
    (
        183,
        (
            "[in#0 @ 0x55d3cc7b5080] moov atom not found\n"
            "[in#0 @ 0x55d3cc7b4d00] Error opening input: Invalid data found when processing input\n"
        ),
        "input",
        "moov atom not found",
    ),
    (1, "nope.mp4: Invalid data found when processing input\n", "input", "Invalid data"),  # ffmpeg 5
    (234, "Stream map '' matches no streams.\nTo ignore this, add a trailing '?'\n", "input", "matches no"),
    (
        8,
        (
            "[vost#0:0 @ 0x55eaec518f40] Error selecting an encoder\nError opening output file -.\n"
            "Error opening output files: Encoder not found\n"
        ),
        "engine",
        "Error selecting an encoder",
    ),
    (1, "Unknown encoder 'libx264'\n", "engine", "Unknown encoder 'libx264'"),  # ffmpeg 5
    (
        8,
        "[dec:hevc @ 0x1] Decoder (codec hevc) not found for input stream #0:0\n",
        "engine",
        "Decoder (codec hevc) not found",
    ),
    (
        255,
        "Failed to set value 'cuda=hw' for option 'init_hw_device': Operation not permitted\n",
        "engine",
        "init_hw_device",
    ),
    (
        228,
        (
            "[vost#0:0/libx264 @ 0x55fd4bbb0180] Error submitting a packet to the muxer: No space left on device\n"
            "[out#0/mp4 @ 0x55fd4bbaf440] Error muxing a packet\n"
            "[out#0/mp4 @ 0x55fd4bbaf440] Error closing file: No space left on device\n"
        ),
        "resource",
        "No space left on device",
    ),
    (244, "[libx265 @ 0x1] Cannot allocate memory\n", "resource", "Cannot allocate memory"),
    (229, "av_interleaved_write_frame(): File too large\n", "resource", "File too large"),
    (
        254,
        (
            "[out#0/webm @ 0x563f] Error opening output /gone/x.webm: No such file or directory\n"
            "Error opening output file /gone/x.webm.\n"
        ),
        "resource",
        "Error opening output /gone/x.webm",
    ),
    (
        234,
        "x264 [error]: invalid preset 'nope'\n[libx264 @ 0x55cb] Error setting preset/tune nope/(null).\n",
        "input",
        "invalid preset 'nope'",
    ),
    (
        222,
        (
            "[libsvtav1 @ 0x5651] Error setting option preset to value 99.\n"
            "[vost#0:0/libsvtav1 @ 0x5] Error applying encoder options: Numerical result out of range\n"
            "Error opening output file odd.webm.\nError opening output files: Numerical result out of range\n"
        ),
        "input",
        "Error setting option preset to value 99.",
    ),
    (234, "[webm @ 0x1] Only VP8 or VP9 or AV1 video … are supported for WebM.\n", "input", "for WebM"),
    (255, "", "engine", "exit code 255"),
    (1, "[x @ 0x1] [y @ 0x2] Something nobody has seen\n\n", "engine", "Something nobody has seen"),
    (-9, "", "engine", "SIGKILL"),
    (-11, "[libx265] whatever\n", "engine", "SIGSEGV"),
    (-25, "", "resource", "file size limit"),
    (-63, "", "engine", "signal 63"),
]


@pytest.mark.parametrize(("exit_code", "stderr", "failure_class", "words"), SAID)
def test_the_class_follows_from_exit_code_and_words(
    exit_code: int, stderr: str, failure_class: FailureClass, words: str
) -> None:
    """Each known ending has one class, and the line that decided it is the message."""
    error = classify(exit_code, stderr)
    assert error.failure_class == failure_class
    assert words in error.message
    assert not error.message.startswith("[")


def test_a_full_disk_outweighs_what_follows_from_it() -> None:
    """A resource that ran out is the cause, wherever in the output it stands."""
    after = "Error opening input: Invalid data found when processing input\nError writing: No space left on device\n"
    assert classify(1, after).failure_class == "resource"


def test_storage_trouble_is_seen_whatever_the_exit_code() -> None:
    """ffmpeg 5 writes half a file onto a full disk and ends with 0; decoding errors are no such trouble."""
    said = "Error writing trailer of x.mp4: No space left on device\nError closing file x.mp4\n"
    trouble = storage_trouble(said)
    assert trouble is not None
    assert (trouble.failure_class, trouble.detail) == ("resource", said)
    assert storage_trouble("[h264 @ 0x1] error while decoding MB 5 0\n") is None


def test_message_and_detail_are_bounded() -> None:
    """However much ffmpeg says, the message stays short and the detail is the end of it."""
    error = classify(1, "y" * 10_000 + "\n" + "x" * 10_000 + "end")
    assert len(error.message) == MESSAGE_CHARS_MAX
    assert len(error.detail) == DETAIL_CHARS_MAX
    assert error.detail.endswith("end")


def test_an_error_travels_between_processes() -> None:
    """Pickling keeps class, message and detail."""
    error = pickle.loads(pickle.dumps(TranscodeError("engine", "message", "detail")))
    assert (error.failure_class, error.message, error.detail) == ("engine", "message", "detail")
    assert str(error) == "engine: message"


def test_our_own_file_errors_are_of_the_resource_class() -> None:
    """A full disk speaks for itself; other storage errors come with a question about the mount."""
    full = storage_failure(OSError(errno.ENOSPC, "No space left on device"), "cannot write")
    gone = storage_failure(OSError(errno.ENOENT, "No such file or directory"), "cannot write")
    assert full.failure_class == gone.failure_class == "resource"
    assert full.message == "cannot write: No space left on device"
    assert "mounted" in gone.message


def _ended(ffmpeg: Path, *options: str | Path) -> TranscodeError:
    command = [ffmpeg, "-nostdin", "-hide_banner", "-v", "error", "-y", *options]
    run = subprocess.run(command, check=False, capture_output=True, text=True, env=child_environment())
    return storage_trouble(run.stderr) or classify(run.returncode, run.stderr)


def test_this_ffmpeg_without_the_encoder_is_an_engine_failure(ffmpeg: Path, clip: Path) -> None:
    """What the ffmpeg at hand says of an unknown encoder is recognised."""
    error = _ended(ffmpeg, "-i", clip, "-c:v", "no_such_encoder", "-f", "null", "-")
    assert error.failure_class == "engine"
    assert "encoder" in error.message.lower()


def test_this_ffmpeg_on_a_full_device_is_a_resource_failure(ffmpeg: Path, clip: Path) -> None:
    """What the ffmpeg at hand says of a full device is recognised."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    error = _ended(ffmpeg, "-i", clip, "-c", "copy", "-f", "matroska", "file:/dev/full")
    assert (error.failure_class, "No space left" in error.message) == ("resource", True)


@pytest.mark.parametrize(
    "options",
    [
        ["-c:v", "libx264", "-preset", "nope"],
        ["-c:v", "libx264", "-vf", "scale=w=71:h=41", "-pix_fmt", "yuv420p"],
        ["-c:v", "libvpx-vp9", "-cpu-used", "99"],
    ],
    ids=["preset", "odd-size", "preset-range"],
)
def test_parameters_this_ffmpeg_refuses_are_input_failures(
    ffmpeg: Path, clip: Path, tmp_path: Path, options: list[str]
) -> None:
    """A parameter that no engine could take is the job's fault."""
    assert _ended(ffmpeg, "-i", clip, *options, tmp_path / "out.mkv").failure_class == "input"
