"""What this machine can do: facts, measured speeds, and the profile made of them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import platformdirs
from attrs import frozen

from dispatch_cli import __version__
from dispatch_cli.agent.logs import Log
from dispatch_cli.agent.runners import TRANSCODE
from dispatch_cli.engine.benchmark import DEFAULT_CELLS, run_benchmark
from dispatch_cli.engine.encoders import Coder
from dispatch_cli.engine.host import host_facts
from dispatch_core import TRANSCODE as TRANSCODE_KIND
from dispatch_core import FactType

BUDGET_S: Final = 6.0
_FORMAT: Final = 1

Cells = list[dict[str, object]]


@frozen(kw_only=True)
class Wishes:
    """What the operator says about an engine: shown name, slots, further facts, codecs and sizes it is kept to."""

    name: str | None = None
    slots: int = 1
    facts: Mapping[str, object]
    codecs: Sequence[str] = ()
    size_bytes_max: int | None = None


def profile_of(
    probed: Mapping[str, object], wishes: Wishes, cells: Cells, coders: Collection[Coder]
) -> dict[str, object]:
    """The profile to register with. Kept to some codecs, an engine names no encoder of another video codec."""
    facts = {"hostname": platform.node() or "unknown", **probed}
    if wishes.codecs:
        facts = _limited(facts, wishes.codecs, coders)
    if wishes.name:
        facts["name"] = wishes.name
    profile: dict[str, object] = {
        "kinds": [TRANSCODE],
        "slots": wishes.slots,
        "facts": {**facts, **wishes.facts},
        "benchmarks": cells,
        "version": __version__,
    }
    if wishes.size_bytes_max is not None:
        profile["size_bytes_max"] = wishes.size_bytes_max
    return profile


def _limited(
    facts: Mapping[str, object], codecs: Collection[str], coders: Collection[Coder]
) -> dict[str, Any]:
    foreign = [coder for coder in coders if coder.kind == "video" and coder.codec not in codecs]
    names = {coder.name for coder in foreign}
    left_out = {coder.codec for coder in foreign}
    limited: dict[str, Any] = dict(facts)
    limited["encoder"] = [each for each in limited["encoder"] if each not in names]
    limited["codec"] = [each for each in limited["codec"] if each not in left_out]
    return limited


def parse_fact(text: str) -> tuple[str, object]:
    """A fact from ``name=value``, its type that of the catalogue; sets are separated by commas. Raises ValueError.

    >>> parse_fact("streaming=true"), parse_fact("tag=fast,indoors"), parse_fact("memory_gb=8")
    (('streaming', True), ('tag', ['fast', 'indoors']), ('memory_gb', 8.0))
    """
    name, separator, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not separator or not name.isidentifier() or not value:
        raise ValueError(f"{text!r} is no fact; write for example streaming=true, or tag=fast,indoors")
    match TRANSCODE_KIND.catalogue.get(name, FactType.TEXT):
        case FactType.SET:
            return name, [each.strip() for each in value.split(",") if each.strip()]
        case FactType.NUMBER:
            if not math.isfinite(float(value)):
                raise ValueError(f"{name} is a number, not {value!r}")
            return name, float(value)
        case FactType.BOOL:
            if value.lower() not in {"true", "false"}:
                raise ValueError(f"{name} is true or false, not {value!r}")
            return name, value.lower() == "true"
        case FactType.TEXT | FactType.VERSION:
            return name, value


def measured(
    ffmpeg: Path, probed: Mapping[str, object], codecs: Collection[str], log: Log, folder: Path | None = None
) -> Cells:
    """The speeds of this ffmpeg on this machine, measured once (6 s at most) and remembered in the cache folder.

    Other work on the machine makes a measurement slower than the truth; the server learns from real jobs later.
    """
    place = (
        folder or platformdirs.user_cache_path("dispatch")
    ) / f"benchmark-{_machine(ffmpeg, probed)}.json"
    wanted = [cell for cell in DEFAULT_CELLS if not codecs or cell[0] in codecs]
    known = _remembered(place)
    missing = [cell for cell in wanted if f"{cell[0]}/{cell[1]}/encode" not in known]
    if missing:
        report = run_benchmark(ffmpeg, budget_s=BUDGET_S, cells=missing)
        known |= {cell.task_class: cell.media_seconds_per_second for cell in report.cells}
        log.info("measured", seconds=round(report.wall_s, 1), cells=len(report.cells), **report.left_out)
        _remember(place, known, log)
    tool = f"ffmpeg {probed['ffmpeg']}"
    return [
        {"task_class": name, "units_per_s": round(speed, 4), "tool": tool}
        for name, speed in sorted(known.items())
        if not codecs or name.partition("/")[0] in codecs
    ]


def _machine(ffmpeg: Path, probed: Mapping[str, object]) -> str:
    """What a measurement depends on: the build of ffmpeg, and the machine it runs on."""
    found = ffmpeg.stat()
    said = {**host_facts(), "node": platform.node(), "processor": platform.processor()}
    text = json.dumps([_FORMAT, str(probed["ffmpeg_build"]), found.st_size, said], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _remembered(place: Path) -> dict[str, float]:
    """What the file holds; what cannot be understood counts as never measured."""
    try:
        held = json.loads(place.read_text(encoding="utf-8"))
        return {str(name): float(speed) for name, speed in held.items() if float(speed) > 0}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _remember(place: Path, known: Mapping[str, float], log: Log) -> None:
    fresh = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(known), encoding="utf-8")
        fresh.replace(place)
    except OSError as error:
        log.warning("the measurement cannot be remembered", reason=str(error))
