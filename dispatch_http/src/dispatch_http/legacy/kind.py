"""The kind of jobs the older fleet does: its engines get no other, and no other engine gets these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from attrs import field, frozen

from dispatch_core import JobKind, JobSize, JobSpec, Length

BYTES_PER_MB = 1_000_000
BYTES_PER_GB = 1_000_000_000
# Without a size: ten minutes of media; with one, the 5 Mbit/s that the transcode kind supposes, too.
_UNITS_UNKNOWN = 600.0
_BYTES_PER_UNIT = 625_000


@frozen(kw_only=True)
class DistconvParameters:
    """What an engine of the older fleet is told. It stores the result where it was built to.

    ``target_codec`` is handed to its ffmpeg as it is, so every name is accepted here; it is no part of
    the task class, because callers could make as many of those as they have words.
    """

    source_url: Annotated[str, Length(1, 2_048)]
    target_codec: Annotated[str, Length(1, 64)]
    resource_requirements: Mapping[str, object] = field(factory=dict)


def _units(_parameters: Mapping[str, object], size: JobSize) -> float:
    return _UNITS_UNKNOWN if size.size_bytes is None else size.size_bytes / _BYTES_PER_UNIT


DISTCONV = JobKind(
    name="distconv",
    shape=DistconvParameters,
    units=_units,
    task_class=lambda _parameters, _size: "distconv",
    nominal_s_per_unit=0.5,
)


def is_ours(spec: JobSpec) -> bool:
    """Whether a job is of this kind."""
    return spec.kind == DISTCONV.name
