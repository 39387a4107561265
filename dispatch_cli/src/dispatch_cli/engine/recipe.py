"""What a transcode is asked to do, checked, and the ffmpeg options that do it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from attrs import fields, frozen

from dispatch_cli.engine.encoders import (
    Coder,
    device_options,
    listed,
    software_encoder,
    tuning_options,
    upload_filters,
)
from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.locations import local_path
from dispatch_cli.engine.media import MediaInfo, file_argument, input_options

SIDE_PIXELS_MAX: Final = 16_384
CRF_MAX: Final = 63


@frozen(kw_only=True)
class Transcode:
    """One source made into one target.

    `source` is a path, file://, http:// or https://; `target` a path or file:// whose suffix names the
    container: mp4, mov, mkv or webm. Without an `encoder` the best software encoder for `codec` is taken,
    with one `codec` only names what it should be. `preset` and `crf` are in the words and on the scale of
    that encoder; without a preset speed goes before size. `width` and `height` are a box that the picture
    is fitted into, keeping its shape; one alone decides the other. `audio` is `aac`, `opus`, `mp3`,
    `vorbis`, `flac`, `copy` or `none`; by default what suits the container.
    """

    source: str
    target: str
    codec: str = "h264"
    encoder: str | None = None
    preset: str | None = None
    crf: int | None = None
    width: int | None = None
    height: int | None = None
    audio: str | None = None

    def __attrs_post_init__(self) -> None:
        problem = _problem(self)
        if problem is not None:
            raise TranscodeError("input", problem)

    @classmethod
    def from_mapping(cls, parameters: Mapping[str, object]) -> "Transcode":
        """A transcode from the parameters of a job. Raises `TranscodeError` `input` for what does not fit."""
        unknown = sorted(set(parameters) - {attribute.name for attribute in fields(cls)})
        if unknown:
            raise TranscodeError("input", f"unknown parameter {unknown[0]!r}")
        missing = sorted({"source", "target"} - set(parameters))
        if missing:
            raise TranscodeError("input", f"parameter {missing[0]!r} is missing")
        return cls(**parameters)  # type: ignore[arg-type]  # the types are checked when it is made

    @property
    def target_path(self) -> Path:
        """Where the result goes."""
        return local_path(self.target).absolute()


@frozen(kw_only=True)
class _Container:
    muxer: str
    audio: str
    options: Sequence[str] = ()
    video_codecs: Collection[str] | None = None
    audio_codecs: Collection[str] | None = None


# faststart moves the index to the front, without which a player must fetch a whole file before it can begin.
_MP4: Final = _Container(muxer="mp4", audio="aac", options=("-movflags", "+faststart"))
_CONTAINERS: Final[Mapping[str, _Container]] = MappingProxyType(
    {
        ".mp4": _MP4,
        ".m4v": _MP4,
        ".mov": _Container(muxer="mov", audio="aac", options=("-movflags", "+faststart")),
        ".mkv": _Container(muxer="matroska", audio="aac"),
        ".webm": _Container(
            muxer="webm",
            audio="opus",
            video_codecs=("vp8", "vp9", "av1"),
            audio_codecs=("opus", "vorbis", "copy", "none"),
        ),
    }
)
_AUDIO_CODECS: Final = ("aac", "opus", "mp3", "vorbis", "flac")


def command_options(
    transcode: Transcode,
    source: Path,
    media: MediaInfo,
    output: Path,
    encoder: Coder,
    coders: Collection[Coder],
) -> list[str]:
    """All options, inputs and outputs that turn `source`, described by `media`, into `output`.

    The muxer is named, so that the output may have any name. Raises `TranscodeError` for what cannot be
    combined.
    """
    container = _container(transcode)
    _check_container(container, encoder, transcode)
    video = [
        "-map",
        "0:V:0",
        "-c:v",
        encoder.name,
        *tuning_options(encoder.name, transcode.preset, transcode.crf),
    ]
    filters = [*_scaling(transcode, media), *upload_filters(encoder.name)]
    return [
        *device_options(encoder.name),
        *input_options(source),
        *video,
        *(["-vf", ",".join(filters)] if filters else []),
        *_tag(container, encoder),
        *_audio(transcode.audio or container.audio, media, coders),
        *("-sn", "-dn", "-max_muxing_queue_size", "4096"),
        *container.options,
        *("-f", container.muxer, file_argument(output)),
    ]


def choose_encoder(transcode: Transcode, coders: Collection[Coder]) -> Coder:
    """The video encoder to use. Raises `TranscodeError` `engine` if this ffmpeg does not have it."""
    name = transcode.encoder or software_encoder(transcode.codec, coders)
    coder = listed(name, coders)
    if coder.kind != "video":
        raise TranscodeError("input", f"encoder {name!r} is no video encoder")
    return coder


def _problem(transcode: Transcode) -> str | None:
    """What is wrong with the parameters; they come from anywhere, so their types are looked at, too."""
    for name in ("source", "target", "codec"):
        if not isinstance(getattr(transcode, name), str) or not getattr(transcode, name):
            return f"{name!r} must be a non-empty text"
    for name in ("encoder", "preset", "audio"):
        if not _is_word(getattr(transcode, name)):
            return f"{name!r} must be a word, or left out"
    for name, least, most in (
        ("crf", 0, CRF_MAX),
        ("width", 2, SIDE_PIXELS_MAX),
        ("height", 2, SIDE_PIXELS_MAX),
    ):
        if not _is_whole(getattr(transcode, name), least, most):
            return f"{name!r} must be a whole number from {least} to {most}, or left out"
    if transcode.audio not in {None, "copy", "none", *_AUDIO_CODECS}:
        return f"audio {transcode.audio!r} is not known: {', '.join(_AUDIO_CODECS)}, copy or none"
    if transcode.target_path.suffix.lower() not in _CONTAINERS:
        return f"the target's suffix names no known container: {', '.join(_CONTAINERS)}"
    return None


def _is_word(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.replace("-", "").replace("_", "").isalnum())


def _is_whole(value: object, least: int, most: int) -> bool:
    return value is None or (
        isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    )


def _container(transcode: Transcode) -> _Container:
    return _CONTAINERS[transcode.target_path.suffix.lower()]


def _check_container(container: _Container, encoder: Coder, transcode: Transcode) -> None:
    if container.video_codecs is not None and encoder.codec not in container.video_codecs:
        raise TranscodeError("input", f"{container.muxer} cannot hold {encoder.codec} video")
    audio = transcode.audio or container.audio
    if container.audio_codecs is not None and audio not in container.audio_codecs:
        raise TranscodeError("input", f"{container.muxer} cannot hold {audio} audio")


def _scaling(transcode: Transcode, media: MediaInfo) -> list[str]:
    """Fit the picture into the box asked for; sides stay even, because 4:2:0 video has no odd ones."""
    width, height = _even(transcode.width), _even(transcode.height)
    if width and height:
        return [f"scale=w={width}:h={height}:force_original_aspect_ratio=decrease:force_divisible_by=2"]
    if width or height:
        return [f"scale=w={width or -2}:h={height or -2}"]
    if (media.width or 0) % 2 or (media.height or 0) % 2:
        return ["scale=w=trunc(iw/2)*2:h=trunc(ih/2)*2"]
    return []


def _even(side: int | None) -> int | None:
    return None if side is None else side - side % 2


def _tag(container: _Container, encoder: Coder) -> list[str]:
    """Apple's players open HEVC in MP4 only under this tag."""
    return ["-tag:v", "hvc1"] if encoder.codec == "hevc" and container.muxer in {"mp4", "mov"} else []


def _audio(wanted: str, media: MediaInfo, coders: Collection[Coder]) -> list[str]:
    if wanted == "none" or media.audio_codec is None:
        return ["-an"]
    if wanted == "copy":
        return ["-map", "0:a?", "-c:a", "copy"]
    encoder = software_encoder(wanted, coders)
    # libopus refuses the side-channel layouts of most surround sound; these are the same speakers by other
    # names.
    layouts = ["-af", "aformat=channel_layouts=7.1|5.1|stereo|mono"] if encoder == "libopus" else []
    return ["-map", "0:a?", "-c:a", encoder, *layouts]
