"""Media files are read, verified and made."""

from pathlib import Path

import pytest

from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.media import (
    MediaInfo,
    falls_short,
    make_clip,
    parse_media,
    probe_media,
    verify_decodes,
)

REPORT = """Input #0, mpegts, from 'a.ts':
  Metadata:
    title           : Duration: 99:00:00.00
                    :   Stream #0:0: Video: fake, 1x1, 1 fps
  Duration: 01:02:03.45, start: 1.400000, bitrate: 420 kb/s
  Program 1
    Metadata:
      service_name    : Service01
  Stream #0:0: Video: png, rgba(pc), 600x600, 90k tbr, 90k tbn (attached pic)
  Stream #0:1[0x101](und): Audio: ac3 ([129][0][0][0] / 0x0081), 48000 Hz, 5.1(side), fltp, 448 kb/s
  Stream #0:2[0x100]: Video: h264 (High) (avc1 / 0x31637661), yuv420p(tv, bt709), 1920x1080 [SAR 1:1 DAR 16:9], 23.98 fps, 23.98 tbr, 90k tbn
  Stream #0:3[0x102](deu): Audio: aac (LC), 48000 Hz, stereo, fltp, 128 kb/s
"""


def test_the_description_of_an_input_is_understood() -> None:
    """Codecs in brackets, cover pictures and metadata that imitates it do not lead astray."""
    assert parse_media(REPORT, 7) == MediaInfo(
        duration_us=3_723_450_000,
        width=1920,
        height=1080,
        fps=23.98,
        video_codec="h264",
        audio_codec="ac3",
        size_bytes=7,
    )


def test_what_is_not_said_is_none() -> None:
    """A recording without an index has no duration, an audio file no picture."""
    media = parse_media(
        "Input #0, matroska\n  Duration: N/A, start: 0\n  Stream #0:0: Audio: opus, 48000 Hz\n", 1
    )
    assert (media.duration_us, media.width, media.fps, media.video_codec) == (None, None, None, None)
    assert media.audio_codec == "opus"


@pytest.mark.parametrize("name", ["plain.mp4", "-i.mkv", "a:b %d 'ü'.mov", "http:x.mp4"])
def test_a_clip_is_what_was_asked_for(ffmpeg: Path, tmp_path: Path, name: str) -> None:
    """Size, rate, codecs and duration of a made clip are right, whatever its name looks like."""
    made = make_clip(tmp_path / name, 1, width=160, height=90, fps=30, ffmpeg=ffmpeg)
    assert (made.width, made.height, made.fps) == (160, 90, 30)
    assert (made.video_codec, made.audio_codec) == ("h264", "aac")
    assert made.duration_us is not None
    assert abs(made.duration_us - 1_000_000) <= 50_000
    assert made.size_bytes == (tmp_path / name).stat().st_size
    assert probe_media(tmp_path / name, ffmpeg) == made


def test_a_clip_may_be_silent(ffmpeg: Path, tmp_path: Path) -> None:
    """Without audio there is no audio stream."""
    assert make_clip(tmp_path / "x.mp4", 1, audio=False, ffmpeg=ffmpeg).audio_codec is None


def test_a_whole_file_verifies(ffmpeg: Path, clip: Path) -> None:
    """All of it is decoded, and the duration found is that declared."""
    media = verify_decodes(clip, ffmpeg)
    assert media.duration_us is not None
    assert abs(media.duration_us - 2_000_000) <= 100_000
    assert media.size_bytes == clip.stat().st_size


def test_a_file_cut_in_half_does_not_verify(ffmpeg: Path, tmp_path: Path) -> None:
    """ffmpeg calls half a Matroska file a success; verification compares with what the file declares."""
    make_clip(tmp_path / "whole.mkv", 2, width=160, height=90, ffmpeg=ffmpeg)
    half = tmp_path / "half.mkv"
    half.write_bytes((tmp_path / "whole.mkv").read_bytes()[: (tmp_path / "whole.mkv").stat().st_size // 2])
    with pytest.raises(TranscodeError, match=r"half\.mkv ends at") as caught:
        verify_decodes(half, ffmpeg)
    assert caught.value.failure_class == "input"


def test_damaged_frames_do_not_verify(ffmpeg: Path, tmp_path: Path, clip: Path) -> None:
    """Bytes overwritten in the middle are found, though the container is whole."""
    damaged = tmp_path / "damaged.mp4"
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2_000] = b"\xa5" * 2_000
    damaged.write_bytes(data)
    with pytest.raises(TranscodeError) as caught:
        verify_decodes(damaged, ffmpeg)
    assert caught.value.failure_class == "input"


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 50_000, bytes(range(256)) * 200])
def test_what_is_no_media_is_an_input_failure(ffmpeg: Path, tmp_path: Path, content: bytes) -> None:
    """Empty files, text and garbage are the job's fault."""
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(TranscodeError) as caught:
        probe_media(path, ffmpeg)
    assert caught.value.failure_class == "input"


@pytest.mark.parametrize("name", ["missing.mp4", "", "nul\0.mp4"])
def test_what_cannot_be_opened_is_an_input_failure(ffmpeg: Path, tmp_path: Path, name: str) -> None:
    """A missing file, a folder and an impossible name are the job's fault."""
    with pytest.raises(TranscodeError, match="cannot read") as caught:
        probe_media(tmp_path / name, ffmpeg)
    assert caught.value.failure_class == "input"


def test_a_playlist_cannot_reach_the_network(ffmpeg: Path, tmp_path: Path) -> None:
    """Media that names other media over HTTP is refused instead of making the engine fetch it."""
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(TranscodeError) as caught:
        probe_media(path, ffmpeg)
    assert caught.value.failure_class == "input"


def test_making_a_clip_fails_typed(ffmpeg: Path, tmp_path: Path) -> None:
    """A folder that is not there is a failure of storage; too little time is a timeout."""
    with pytest.raises(TranscodeError) as caught:
        make_clip(tmp_path / "gone" / "x.mp4", 1, ffmpeg=ffmpeg)
    assert caught.value.failure_class == "resource"
    with pytest.raises(TranscodeError) as caught:
        make_clip(tmp_path / "x.mp4", 3_600, ffmpeg=ffmpeg, timeout_s=0.3)
    assert caught.value.failure_class == "timeout"


@pytest.mark.parametrize(
    ("reached_us", "declared_us", "short"),
    [
        (980_000, 1_000_000, False),
        (600_000, 1_000_000, True),
        (9_600_000, 10_000_000, False),
        (9_400_000, 10_000_000, True),
        (3_500_000_000, 3_600_000_000, False),
        (0, 0, False),
        (5_000_000, 1_000_000, False),
    ],
)
def test_short_is_more_than_rounding(reached_us: int, declared_us: int, short: bool) -> None:
    """Declared durations are approximate: a few frames, or a few percent of a film, are no loss."""
    assert falls_short(reached_us, declared_us) is short
