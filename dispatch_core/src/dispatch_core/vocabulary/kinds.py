"""Kinds of jobs: what their parameters are, how runtimes are measured, and what they need by nature.

``transcode`` is the first; an embedder brings others. Nothing else in the core knows ffmpeg.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from math import isfinite
from typing import Annotated

from attrs import field, frozen

from dispatch_core.vocabulary.bounds import Bound, Grammar, Length
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.facts import COMMON_FACTS, Catalogue, FactType
from dispatch_core.vocabulary.jobs import JobSize, JobSpec
from dispatch_core.vocabulary.locations import Location

Parameters = Mapping[str, object]


@frozen(kw_only=True)
class JobKind:
    """How the core sees one kind of job; every function is pure and sees parameters already checked.

    ``shape`` is an attrs class the parameters must fit (None: any JSON object). ``units`` measures the
    work (media seconds for video); ``task_class`` names what runtimes are learned by; ``needs`` adds
    requirements that follow from the parameters; ``facts`` are the fact names requirements may use.
    ``task_classes`` is the form of those names, which benchmarks must have (None: any).
    """

    name: str
    shape: type | None = None
    facts: Catalogue = field(factory=dict)
    units: Callable[[Parameters, JobSize], float] = lambda _parameters, _size: 1.0
    task_class: Callable[[Parameters, JobSize], str] = lambda _parameters, _size: "any"
    needs: Callable[[Parameters], tuple[str, ...]] = lambda _parameters: ()
    nominal_s_per_unit: float = 1.0
    task_classes: Grammar | None = None

    @cached_property
    def catalogue(self) -> Catalogue:
        """All fact names a requirement of this kind may use."""
        return {**COMMON_FACTS, **self.facts}

    def measure(self, spec: JobSpec) -> tuple[str, float]:
        """The task class and the units of work of a job. Raises ValueError if these are not finite."""
        units = self.units(spec.parameters, spec.size)
        if not isfinite(units):
            raise ValueError(f"{units} units of work")
        return self.task_class(spec.parameters, spec.size), max(units, 1e-6)


Short = Annotated[str, Length(1, 64)]


@frozen(kw_only=True)
class TranscodeParameters:
    """What a transcode needs to know. Give ``codec`` (any encoder for it) or a named ``encoder``."""

    source: Location
    target: Location
    codec: Short = "h264"
    encoder: Short | None = None
    preset: Short | None = None
    crf: Annotated[int, Bound(0, 63)] | None = None
    width: Annotated[int, Bound(2, 16_384)] | None = None
    height: Annotated[int, Bound(2, 16_384)] | None = None
    audio: Short | None = None


_BANDS = ((240, "240p"), (360, "360p"), (480, "480p"), (720, "720p"), (1080, "1080p"), (1440, "1440p"))


TASK_CLASSES = Grammar(
    rf"[A-Za-z0-9][A-Za-z0-9._+-]{{0,63}}/({'|'.join(word for _, word in _BANDS)}|2160p)/encode",
    f"CODEC/RESOLUTION/encode, such as h264/1080p/encode; resolutions: {', '.join(word for _, word in _BANDS)}, 2160p",
)
"""The form of a transcode's task class."""


def resolution_band(height: int | None) -> str:
    """The resolution word of a height in pixels; unknown counts as 1080p, the commonest."""
    if height is None:
        return "1080p"
    for limit, word in _BANDS:
        if height <= limit * 1.1:
            return word
    return "2160p"


def _transcode_class(parameters: Parameters, size: JobSize) -> str:
    height = parameters.get("height") or size.height
    return f"{parameters.get('codec', 'h264')}/{resolution_band(height if isinstance(height, int) else None)}/encode"


def _transcode_units(_parameters: Parameters, size: JobSize) -> float:
    # Without a duration: bytes at 5 Mbit/s, the middle of what video sites receive; else ten minutes.
    if size.duration_us is not None:
        return size.duration_us / SECOND_US
    return size.size_bytes / 625_000 if size.size_bytes is not None else 600.0


def _transcode_needs(parameters: Parameters) -> tuple[str, ...]:
    encoder = parameters.get("encoder")
    return (f"encoder has {encoder}",) if encoder else (f"codec has {parameters.get('codec', 'h264')}",)


TRANSCODE = JobKind(
    name="transcode",
    shape=TranscodeParameters,
    facts={
        "ffmpeg": FactType.VERSION,
        "encoder": FactType.SET,
        "decoder": FactType.SET,
        "hwaccel": FactType.SET,
        "codec": FactType.SET,
    },
    units=_transcode_units,
    task_class=_transcode_class,
    needs=_transcode_needs,
    nominal_s_per_unit=0.5,
    task_classes=TASK_CLASSES,
)
