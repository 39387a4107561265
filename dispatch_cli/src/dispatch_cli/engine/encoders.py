"""What is known about single encoders: which is best for a codec, how to ask for speed and quality.

Nothing here asks the machine; `ffmpeg.probe` does.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from attrs import frozen

from dispatch_cli.engine.failures import TranscodeError

# Suffixes of encoders and decoders that need a device. ffmpeg lists them whether or not there is one.
HARDWARE_SUFFIXES: Final = (
    "_nvenc",
    "_cuvid",
    "_qsv",
    "_vaapi",
    "_amf",
    "_videotoolbox",
    "_v4l2m2m",
    "_vulkan",
    "_mediacodec",
    "_rkmpp",
    "_omx",
    "_mf",
    "_d3d12va",
    "_mmal",
    "_oh",
)

# Families whose encoders take frames that live on the device already.
_UPLOADING: Final = ("_vaapi", "_vulkan")

# Best first, by speed for quality. `librav1e` took 11 times as long as `libsvtav1` for the same clip.
_PREFERRED: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "h264": ("libx264", "libopenh264"),
        "hevc": ("libx265", "libkvazaar"),
        "av1": ("libsvtav1", "libaom-av1", "librav1e"),
        "vp9": ("libvpx-vp9",),
        "vp8": ("libvpx",),
        "vvc": ("libvvenc",),
        "mpeg4": ("mpeg4", "libxvid"),
        "prores": ("prores_ks", "prores"),
        "aac": ("aac", "libfdk_aac"),
        "opus": ("libopus",),
        "vorbis": ("libvorbis",),
        "mp3": ("libmp3lame",),
    }
)


@frozen(kw_only=True)
class Coder:
    """An encoder or decoder as ffmpeg lists it: name, what it makes or reads, and `video` or `audio`."""

    name: str
    codec: str
    kind: str
    experimental: bool = False

    @property
    def is_hardware(self) -> bool:
        """Whether it needs a device."""
        return self.name.endswith(HARDWARE_SUFFIXES)


@frozen(kw_only=True)
class _Tuning:
    """How one encoder takes speed and quality; `default_*` is for jobs that name none: fast before small."""

    speed: str | None = None
    default_speed: str | None = None
    quality: str | None = None
    default_quality: str | None = None
    with_quality: Sequence[str] = ()
    always: Sequence[str] = ()
    pixel_format: str | None = None


_H264: Final = "yuv420p"  # 4:2:2 and 10 bit H.264 are legal and play nearly nowhere
_TUNINGS: Final[Mapping[str, _Tuning]] = MappingProxyType(
    {
        "libx264": _Tuning(speed="-preset", default_speed="veryfast", quality="-crf", pixel_format=_H264),
        "libx265": _Tuning(
            speed="-preset",
            default_speed="ultrafast",
            quality="-crf",
            always=("-x265-params", "log-level=error"),
        ),
        "libsvtav1": _Tuning(speed="-preset", default_speed="10", quality="-crf"),
        "libaom-av1": _Tuning(
            speed="-cpu-used",
            default_speed="8",
            quality="-crf",
            with_quality=("-b:v", "0"),
            always=("-row-mt", "1"),
        ),
        "librav1e": _Tuning(speed="-speed", default_speed="10", quality="-qp"),
        "libvpx-vp9": _Tuning(speed="vpx", default_speed="8", quality="-crf", with_quality=("-b:v", "0")),
        "libvpx": _Tuning(
            speed="vpx", default_speed="8", quality="-crf", default_quality="24", with_quality=("-b:v", "4M")
        ),
        "libvvenc": _Tuning(speed="-preset", default_speed="faster", quality="-qp"),
        "libopenh264": _Tuning(pixel_format=_H264),
        "libkvazaar": _Tuning(),
        # Without a quality these take ffmpeg's default of 200 kb/s, whatever the size of the picture.
        "mpeg4": _Tuning(quality="-q:v", default_quality="4", pixel_format="yuv420p"),
        "libxvid": _Tuning(quality="-q:v", default_quality="4", pixel_format="yuv420p"),
        "mpeg2video": _Tuning(quality="-q:v", default_quality="4", pixel_format="yuv420p"),
        "mjpeg": _Tuning(quality="-q:v", default_quality="3", pixel_format="yuvj420p"),
    }
)
_FAMILIES: Final[Mapping[str, _Tuning]] = MappingProxyType(
    {
        "_nvenc": _Tuning(speed="-preset", quality="-cq", pixel_format="yuv420p"),
        "_qsv": _Tuning(speed="-preset", quality="-global_quality", pixel_format="nv12"),
        "_amf": _Tuning(speed="-quality", pixel_format="nv12"),
        "_vaapi": _Tuning(quality="-qp"),
        "_vulkan": _Tuning(quality="-qp"),
        "_videotoolbox": _Tuning(quality="-q:v", pixel_format="nv12"),
    }
)


def software_encoder(codec: str, coders: Collection[Coder]) -> str:
    """The best listed software encoder for a codec. Raises `TranscodeError` `engine` if there is none."""
    usable = {c.name for c in coders if c.codec == codec and not c.is_hardware and not c.experimental}
    for name in (*_PREFERRED.get(codec, ()), *sorted(usable)):
        if name in usable:
            return name
    raise TranscodeError("engine", f"this ffmpeg has no usable encoder for codec {codec!r}")


def listed(encoder: str, coders: Collection[Coder]) -> Coder:
    """The listing of an encoder asked for by name. Raises `TranscodeError` `engine` if it is not there."""
    for coder in coders:
        if coder.name == encoder:
            return coder
    raise TranscodeError("engine", f"this ffmpeg has no encoder {encoder!r}")


def tuning_options(encoder: str, preset: str | None = None, quality: int | None = None) -> list[str]:
    """The options for speed, quality and pixel format of an encoder, in its own words.

    `quality` is the encoder's own scale (`-crf`, `-cq`, `-q:v` …); raises `TranscodeError` `input` for one
    that takes none, because leaving it out silently would give a file of another size than was asked for.
    """
    tuning = _tuning(encoder)
    options = [*_speed(encoder, tuning, preset), *_quality(encoder, tuning, quality), *tuning.always]
    if tuning.pixel_format is not None:
        options += ["-pix_fmt", tuning.pixel_format]
    return options


def device_options(encoder: str) -> list[str]:
    """Options before the inputs that open the device an encoder needs its frames on."""
    for family in _UPLOADING:
        if encoder.endswith(family):
            return ["-init_hw_device", f"{family.removeprefix('_')}=hw", "-filter_hw_device", "hw"]
    return []


def upload_filters(encoder: str) -> list[str]:
    """Filters at the end of the chain that bring frames to the device of the encoder."""
    return ["format=nv12", "hwupload"] if encoder.endswith(_UPLOADING) else []


def _tuning(encoder: str) -> _Tuning:
    for family, tuning in _FAMILIES.items():
        if encoder.endswith(family):
            return tuning
    return _TUNINGS.get(encoder, _Tuning())


def _speed(encoder: str, tuning: _Tuning, preset: str | None) -> list[str]:
    value = preset or tuning.default_speed
    if tuning.speed is None or value is None:
        if preset is not None:
            raise TranscodeError("input", f"encoder {encoder} takes no preset, but {preset!r} was asked for")
        return []
    return _vpx_speed(value) if tuning.speed == "vpx" else [tuning.speed, value]


def _vpx_speed(value: str) -> list[str]:
    """libvpx has two switches: a deadline, and a number that may exceed 5 with the realtime one only."""
    if value in {"best", "good", "realtime"}:
        return ["-deadline", value, "-row-mt", "1"]
    deadline = "good" if value in {"0", "1", "2", "3", "4", "5"} else "realtime"
    return ["-deadline", deadline, "-cpu-used", value, "-row-mt", "1"]


def _quality(encoder: str, tuning: _Tuning, quality: int | None) -> list[str]:
    value = tuning.default_quality if quality is None else str(quality)
    if value is None:
        return []
    if tuning.quality is None:
        raise TranscodeError("input", f"encoder {encoder} takes no crf, but {value} was asked for")
    return [tuning.quality, value, *tuning.with_quality]
