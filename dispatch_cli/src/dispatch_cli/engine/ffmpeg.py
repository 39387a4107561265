"""Find an ffmpeg, and say what it can really do on this machine."""

import importlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Final

from attrs import frozen

from dispatch_cli.engine.encoders import (
    HARDWARE_SUFFIXES,
    Coder,
    device_options,
    tuning_options,
    upload_filters,
)
from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.host import host_facts
from dispatch_cli.engine.process import capture

ENVIRONMENT_VARIABLE: Final = "DISPATCH_FFMPEG"
LISTING_TIMEOUT_S: Final = 20.0
TRIAL_TIMEOUT_S: Final = 5.0
OLDEST: Final = (4, 4)  # the first with -stats_period
TRIALS_AT_ONCE: Final = 2  # consumer cards refuse more than a few encoder sessions at a time

_MEND: Final = (
    f"install ffmpeg so that it is on PATH, name its path in {ENVIRONMENT_VARIABLE}, "
    "or `pip install imageio-ffmpeg`, which brings one"
)
_LISTED: Final = re.compile(r"^ ([VAS])(.{5}) (\S+)\s+(.*)$")
_CODEC: Final = re.compile(r"\(codec (\S+?)\)\s*$")
_RELEASE: Final = re.compile(r"^n?(\d+(?:\.\d+)+)")
_LIBAVCODEC: Final = re.compile(r"^libavcodec\s+(\d+)\.", re.MULTILINE)
_KINDS: Final[Mapping[str, str]] = MappingProxyType({"V": "video", "A": "audio"})
# ffmpeg n.x carries libavcodec n + 54 since release 4.
_LIBAVCODEC_OFFSET: Final = 54


@frozen(kw_only=True)
class Version:
    """`number` is comparable ("9.0.2"); `build` is what this ffmpeg calls itself."""

    number: str
    build: str


def locate(explicit: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The absolute path of the ffmpeg to use.

    The first of: the explicit path or name, the environment variable DISPATCH_FFMPEG, PATH, and the
    executable that comes with the Python package imageio-ffmpeg. One that is named but cannot be run is an
    error, not passed over. Raises `TranscodeError` `engine` whose message says how to mend it.
    """
    for named, where in ((explicit, "as given"), (environ.get(ENVIRONMENT_VARIABLE), ENVIRONMENT_VARIABLE)):
        if named:
            return _named(str(named), where, environ)
    found = shutil.which("ffmpeg", path=environ.get("PATH", "")) or _packaged()
    if found is None:
        raise TranscodeError("engine", f"no ffmpeg found: {_MEND}")
    return Path(found).absolute()


def read_version(ffmpeg: Path) -> Version:
    """What `ffmpeg -version` says. Raises `TranscodeError` `engine` if it is no ffmpeg, or older than 4.4."""
    said = capture([ffmpeg, "-version"], timeout_s=LISTING_TIMEOUT_S)
    words = said.stdout.split(maxsplit=3)
    if said.exit_code != 0 or words[:2] != ["ffmpeg", "version"]:
        raise TranscodeError("engine", f"{ffmpeg} is no working ffmpeg: {_MEND}", said.stderr)
    version = Version(number=_version_number(words[2], said.stdout), build=words[2])
    if _too_old(version):
        oldest = ".".join(map(str, OLDEST))
        raise TranscodeError("engine", f"{ffmpeg} is version {version.number}, older than {oldest}: {_MEND}")
    return version


def list_encoders(ffmpeg: Path) -> tuple[Coder, ...]:
    """The video and audio encoders compiled into this ffmpeg, whether or not their hardware exists."""
    return _list_coders(ffmpeg, "-encoders")


def list_decoders(ffmpeg: Path) -> tuple[Coder, ...]:
    """The video and audio decoders compiled into this ffmpeg, whether or not their hardware exists."""
    return _list_coders(ffmpeg, "-decoders")


def probe(ffmpeg: Path, *, trials_budget_s: float = 10.0) -> dict[str, object]:
    """Facts about an ffmpeg and its machine.

    `ffmpeg` (comparable version), `ffmpeg_build`, sorted lists `encoder`, `decoder`, `hwaccel` and `codec`
    (what can be encoded), and `os`, `arch`, `cpus`, `memory_gb`.

    Software coders are believed. One that needs hardware is listed only if a real encode of three frames
    with it, or opening its device, succeeded just now: ffmpeg lists what it was compiled with. Trials that
    do not fit into the budget count as failed. Raises `TranscodeError` `engine` if this is no ffmpeg.
    """
    version = read_version(ffmpeg)
    deadline = time.monotonic() + trials_budget_s
    accelerations = _working(_list_hwaccels(ffmpeg), lambda name: _opens_device(ffmpeg, name, deadline))
    encoders = _usable_encoders(ffmpeg, deadline)
    return {
        "ffmpeg": version.number,
        "ffmpeg_build": version.build,
        "encoder": sorted(coder.name for coder in encoders),
        "codec": sorted({coder.codec for coder in encoders}),
        "decoder": _usable_decoders(ffmpeg, accelerations),
        "hwaccel": sorted(accelerations),
        **host_facts(),
    }


def _named(name: str, where: str, environ: Mapping[str, str]) -> Path:
    found = shutil.which(name, path=environ.get("PATH", ""))
    if found is None:
        raise TranscodeError("engine", f"ffmpeg {name!r} ({where}) does not exist or cannot be run: {_MEND}")
    return Path(found).absolute()


def _packaged() -> str | None:
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def _version_number(build: str, banner: str) -> str:
    """The release, or for a build between releases the major version that its libavcodec belongs to."""
    release = _RELEASE.match(build)
    if release is not None:
        return release.group(1)
    library = _LIBAVCODEC.search(banner)
    return str(int(library.group(1)) - _LIBAVCODEC_OFFSET) if library else "0"


def _too_old(version: Version) -> bool:
    parts = tuple(int(part) for part in version.number.split("."))
    return bool(parts[0]) and (*parts, 0)[:2] < OLDEST  # 0: an unknown build is taken for a new one


def _list_coders(ffmpeg: Path, option: str) -> tuple[Coder, ...]:
    lines = capture([ffmpeg, "-hide_banner", option], timeout_s=LISTING_TIMEOUT_S).stdout.splitlines()
    return tuple(coder for coder in map(_coder, lines) if coder is not None)


def _coder(line: str) -> Coder | None:
    found = _LISTED.match(line)
    if found is None or found.group(3) == "=" or found.group(1) not in _KINDS:
        return None
    letter, flags, name, description = found.groups()
    codec = _CODEC.search(description)
    return Coder(
        name=name, codec=codec.group(1) if codec else name, kind=_KINDS[letter], experimental=flags[2] == "X"
    )


def _list_hwaccels(ffmpeg: Path) -> list[str]:
    lines = capture([ffmpeg, "-hide_banner", "-hwaccels"], timeout_s=LISTING_TIMEOUT_S).stdout.splitlines()
    return [line.strip() for line in lines[1:] if line.strip()]


def _usable_encoders(ffmpeg: Path, deadline: float) -> list[Coder]:
    listed = [coder for coder in list_encoders(ffmpeg) if not coder.experimental]
    hardware = [coder.name for coder in listed if coder.is_hardware]
    working = _working(hardware, lambda name: _encodes(ffmpeg, name, deadline))
    return [coder for coder in listed if not coder.is_hardware or coder.name in working]


def _usable_decoders(ffmpeg: Path, accelerations: Iterable[str]) -> list[str]:
    """Software decoders, and those of families whose device could be opened."""
    families = {f"_{name}" for name in accelerations} | ({"_cuvid"} if "cuda" in accelerations else set())
    hopeless = tuple(suffix for suffix in HARDWARE_SUFFIXES if suffix not in families)
    return sorted(coder.name for coder in list_decoders(ffmpeg) if not coder.name.endswith(hopeless))


def _working(names: Sequence[str], trial: Callable[[str], bool]) -> set[str]:
    with ThreadPoolExecutor(max_workers=TRIALS_AT_ONCE) as pool:
        return {name for name, works in zip(names, pool.map(trial, names), strict=True) if works}


# Some hardware refuses pictures below 145 or 256 pixels, which says nothing about real ones.
_PICTURES: Final = ("-f", "lavfi", "-i", "testsrc2=size=320x256:rate=25")
_NOWHERE: Final = ("-f", "null", "-")


def _encodes(ffmpeg: Path, encoder: str, deadline: float) -> bool:
    filters = ",".join(upload_filters(encoder)) or "null"
    options = ["-frames:v", "3", "-vf", filters, "-c:v", encoder, *tuning_options(encoder)]
    return _succeeds(ffmpeg, [*device_options(encoder), *_PICTURES, *options, *_NOWHERE], deadline)


def _opens_device(ffmpeg: Path, name: str, deadline: float) -> bool:
    options = ["-init_hw_device", f"{name}=hw", *_PICTURES, "-frames:v", "1", *_NOWHERE]
    return _succeeds(ffmpeg, options, deadline)


def _succeeds(ffmpeg: Path, options: Sequence[str], deadline: float) -> bool:
    """Whether a trial ends well in time. Drivers may also crash ffmpeg or hang; both mean no."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        return False
    command: list[str | Path] = [ffmpeg, "-nostdin", "-hide_banner", "-v", "error", *options]
    try:
        return capture(command, timeout_s=min(TRIAL_TIMEOUT_S, remaining)).exit_code == 0
    except TranscodeError:
        return False
