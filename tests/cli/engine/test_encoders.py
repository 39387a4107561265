"""Encoders are chosen and spoken to in their own words."""

from collections.abc import Collection

import pytest

from dispatch_cli.engine.encoders import (
    Coder,
    device_options,
    listed,
    software_encoder,
    tuning_options,
    upload_filters,
)
from dispatch_cli.engine.failures import TranscodeError


def _video(name: str, codec: str, *, experimental: bool = False) -> Coder:
    return Coder(name=name, codec=codec, kind="video", experimental=experimental)


def test_hardware_is_never_chosen_unasked() -> None:
    """A listed hardware encoder may not work, so it has to be asked for by name."""
    coders = [_video("h264_nvenc", "h264"), _video("libopenh264", "h264"), _video("libx264", "h264")]
    assert software_encoder("h264", coders) == "libx264"
    assert software_encoder("h264", coders[:2]) == "libopenh264"
    with pytest.raises(TranscodeError, match="no usable encoder for codec 'h264'") as caught:
        software_encoder("h264", coders[:1])
    assert caught.value.failure_class == "engine"


def test_an_experimental_encoder_is_not_usable() -> None:
    """ffmpeg refuses these unless told twice."""
    with pytest.raises(TranscodeError):
        software_encoder("vorbis", [_video("vorbis", "vorbis", experimental=True)])


def test_a_codec_nobody_thought_of_still_has_its_encoder(coders: Collection[Coder]) -> None:
    """Any codec that ffmpeg lists can be asked for; the table only says what is best."""
    assert software_encoder("ffv1", coders) == "ffv1"
    fast, slow = _video("libsvtav1", "av1"), _video("libaom-av1", "av1")
    assert software_encoder("av1", [slow, fast]) == "libsvtav1"


def test_an_encoder_by_name_must_be_listed(coders: Collection[Coder]) -> None:
    """Its codec follows from the listing."""
    assert listed("libvpx-vp9", coders).codec == "vp9"
    with pytest.raises(TranscodeError, match="'libnope'"):
        listed("libnope", coders)


@pytest.mark.parametrize(
    ("encoder", "preset", "quality", "options"),
    [
        ("libx264", None, None, "-preset veryfast -pix_fmt yuv420p"),
        ("libx264", "slow", 21, "-preset slow -crf 21 -pix_fmt yuv420p"),
        ("libx265", None, None, "-preset ultrafast -x265-params log-level=error"),
        ("libsvtav1", None, 0, "-preset 10 -crf 0"),
        ("libvpx-vp9", None, None, "-deadline realtime -cpu-used 8 -row-mt 1"),
        ("libvpx-vp9", "2", 31, "-deadline good -cpu-used 2 -row-mt 1 -crf 31 -b:v 0"),
        ("libvpx-vp9", "best", None, "-deadline best -row-mt 1"),
        ("mpeg4", None, None, "-q:v 4 -pix_fmt yuv420p"),
        ("hevc_nvenc", "p5", 28, "-preset p5 -cq 28 -pix_fmt yuv420p"),
        ("h264_vaapi", None, 24, "-qp 24"),
        ("prores_ks", None, None, ""),
    ],
)
def test_each_encoder_is_told_in_its_own_words(
    encoder: str, preset: str | None, quality: int | None, options: str
) -> None:
    """Speed and quality have other names and scales everywhere; without a wish, speed is chosen."""
    assert tuning_options(encoder, preset, quality) == options.split()


@pytest.mark.parametrize(("preset", "quality", "word"), [("fast", None, "preset"), (None, 20, "crf")])
def test_a_wish_the_encoder_cannot_fulfil_is_refused(
    preset: str | None, quality: int | None, word: str
) -> None:
    """Leaving it out silently would give another file than was asked for."""
    with pytest.raises(TranscodeError, match=f"prores_ks takes no {word}") as caught:
        tuning_options("prores_ks", preset, quality)
    assert caught.value.failure_class == "input"


def test_frames_are_brought_to_devices_that_need_them_there() -> None:
    """VAAPI and Vulkan encode what is on the device; others take frames from memory."""
    assert device_options("hevc_vaapi") == ["-init_hw_device", "vaapi=hw", "-filter_hw_device", "hw"]
    assert upload_filters("hevc_vaapi") == ["format=nv12", "hwupload"]
    assert device_options("hevc_nvenc") == upload_filters("libx264") == []
