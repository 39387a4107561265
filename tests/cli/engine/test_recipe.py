"""Parameters of a transcode are checked, and become the right ffmpeg options."""

from collections.abc import Collection
from pathlib import Path

import pytest

from dispatch_cli.engine.encoders import Coder
from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.media import MediaInfo
from dispatch_cli.engine.recipe import Transcode, choose_encoder, command_options

MEDIA = MediaInfo(
    duration_us=1_000_000,
    width=1920,
    height=1080,
    fps=25.0,
    video_codec="h264",
    audio_codec="aac",
    size_bytes=1,
)
ODD = MediaInfo(
    duration_us=1, width=161, height=91, fps=25.0, video_codec="png", audio_codec=None, size_bytes=1
)


def _options(coders: Collection[Coder], media: MediaInfo = MEDIA, **parameters: object) -> str:
    transcode = Transcode.from_mapping({"source": "/in.mp4", "target": "/out.mp4", **parameters})
    encoder = choose_encoder(transcode, coders)
    return " ".join(command_options(transcode, Path("/in.mp4"), media, Path("/tmp.part"), encoder, coders))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"bitrat": 5}, "unknown parameter 'bitrat'"),
        ({"source": ""}, "'source' must be a non-empty text"),
        ({"source": 7}, "'source' must be a non-empty text"),
        ({"codec": None}, "'codec' must be a non-empty text"),
        ({"encoder": "x -y"}, "'encoder' must be a word"),
        ({"preset": 3}, "'preset' must be a word"),
        ({"crf": 64}, "'crf' must be a whole number from 0 to 63"),
        ({"crf": True}, "'crf' must be a whole number"),
        ({"crf": 20.5}, "'crf' must be a whole number"),
        ({"width": 1}, "'width' must be a whole number from 2"),
        ({"height": "90"}, "'height' must be a whole number from 2"),
        ({"audio": "dts"}, "audio 'dts' is not known"),
        ({"target": "/out.avi"}, "no known container: .mp4"),
        ({"target": "/out"}, "no known container"),
        ({"target": "s3://bucket/out.mp4"}, "s3:// is not known here"),
        ({"target": "file://nas/out.mp4"}, "on another host"),
        ({"target": "https://media.example/out.mp4"}, "https:// is not known here"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters: dict[str, object], words: str) -> None:
    """The message names the parameter; the class is input, since no engine could do better."""
    with pytest.raises(TranscodeError, match=words) as caught:
        Transcode.from_mapping({"source": "/in.mp4", "target": "/out.mp4", **parameters})
    assert caught.value.failure_class == "input"


def test_source_and_target_are_needed() -> None:
    """A mapping without them is no transcode."""
    with pytest.raises(TranscodeError, match="'source' is missing"):
        Transcode.from_mapping({"target": "/out.mp4"})


def test_a_target_may_be_a_url_of_this_host() -> None:
    """file:/// and a plain path mean the same, with escapes undone."""
    assert Transcode(source="a", target="file:///a%20b/c.MKV").target_path == Path("/a b/c.MKV")
    assert Transcode(source="a", target="file://localhost/c.mkv").target_path == Path("/c.mkv")


@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [
        (640, 361, "scale=w=640:h=360:force_original_aspect_ratio=decrease:force_divisible_by=2"),
        (640, None, "scale=w=640:h=-2"),
        (None, 360, "scale=w=-2:h=360"),
    ],
)
def test_the_picture_is_fitted_into_the_box(
    coders: Collection[Coder], width: int | None, height: int | None, scale: str
) -> None:
    """Its shape is kept, and its sides are even."""
    assert f"-vf {scale} " in _options(coders, width=width, height=height)


def test_a_picture_is_scaled_only_if_it_must_be(coders: Collection[Coder]) -> None:
    """Without a box only odd sides are touched, which 4:2:0 video cannot have."""
    assert "-vf" not in _options(coders)
    assert "-vf scale=w=trunc(iw/2)*2:h=trunc(ih/2)*2 " in _options(coders, ODD)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"target": "/o.mp4"}, "-c:a aac"),
        ({"target": "/o.mkv"}, "-c:a aac"),
        ({"target": "/o.webm", "codec": "vp9"}, "-c:a libopus"),
        ({"audio": "copy"}, "-c:a copy"),
        ({"audio": "none"}, "-an"),
    ],
)
def test_audio_suits_the_container_unless_asked_otherwise(
    coders: Collection[Coder], parameters: dict[str, object], expected: str
) -> None:
    """The default plays in what usually opens such a file."""
    assert expected in _options(coders, MEDIA, **parameters)


def test_silence_stays_silent(coders: Collection[Coder]) -> None:
    """A source without audio gets none."""
    assert "-an" in _options(coders, ODD, audio="aac")


def test_what_a_container_cannot_hold_is_refused_before_any_work(coders: Collection[Coder]) -> None:
    """WebM is VP8, VP9 or AV1 with Opus or Vorbis."""
    with pytest.raises(TranscodeError, match="webm cannot hold h264 video"):
        _options(coders, target="/o.webm")
    with pytest.raises(TranscodeError, match="webm cannot hold aac audio"):
        _options(coders, target="/o.webm", codec="av1", audio="aac")


def test_a_named_encoder_decides_the_codec(coders: Collection[Coder]) -> None:
    """`codec` only has a say where no encoder is named."""
    assert "-c:v libvpx-vp9 " in _options(coders, target="/o.webm", codec="h264", encoder="libvpx-vp9")


def test_an_audio_encoder_makes_no_video(coders: Collection[Coder]) -> None:
    """Naming one is the job's mistake."""
    with pytest.raises(TranscodeError, match="no video encoder"):
        _options(coders, encoder="aac")


def test_players_are_thought_of(coders: Collection[Coder]) -> None:
    """The index comes first in MP4, and HEVC has the tag that Apple's players look for."""
    assert "-tag:v hvc1" in _options(coders, codec="hevc")
    assert "-movflags +faststart -f mp4 file:/tmp.part" in _options(coders)
    assert "hvc1" not in _options(coders, codec="hevc", target="/o.mkv")


def test_a_hardware_encoder_gets_its_device() -> None:
    """The device is opened before the input, and frames are uploaded after scaling."""
    coders = [
        Coder(name="h264_vaapi", codec="h264", kind="video"),
        Coder(name="aac", codec="aac", kind="audio"),
    ]
    options = _options(coders, encoder="h264_vaapi", width=640)
    assert options.startswith("-init_hw_device vaapi=hw -filter_hw_device hw -protocol_whitelist file -i")
    assert "-vf scale=w=640:h=-2,format=nv12,hwupload " in options
