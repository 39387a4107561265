"""What the older fleet sends, as values. Fields it has beyond these are dropped, as its own server did."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import attrs
from attrs import field, frozen

from dispatch_core import Bound, FieldProblem, InvalidCommandError, JobSize, JobSpec, PoolSpec, Profile, Retry
from dispatch_core.forms import parse
from dispatch_http.grammar import ENGINE_ID
from dispatch_http.legacy.kind import BYTES_PER_GB, BYTES_PER_MB, DISTCONV

T = TypeVar("T")
PRIORITY_MAX = 100
ATTEMPTS_MAX = 100
NAME = "name"
"""The fact that keeps what an engine calls itself if that cannot be an id."""
MADE = f"{DISTCONV.name}-"
"""How ids begin that are made of a name which can be none."""
_ENGINE_CHARS_MAX = 100
_POOL_CHARS_MAX = 64
_TEXT_MAX = 255
_CODECS_MAX = 64


@frozen(kw_only=True)
class Submission:
    """A job as the older client asks for it; ``job_size`` in megabytes."""

    source_url: str
    target_codec: str
    job_size: Annotated[float, Bound(0, 1e12)] = 0.0
    max_retries: Annotated[int, Bound(0, 2**31)] = 3
    priority: int = 0
    resource_requirements: Mapping[str, object] = field(factory=dict)

    def spec(self) -> JobSpec:
        """The job to submit. Retries and priority beyond our bounds are cut to them, not refused."""
        return JobSpec(
            kind=DISTCONV.name,
            parameters={
                "source_url": self.source_url,
                "target_codec": self.target_codec,
                "resource_requirements": self.resource_requirements,
            },
            priority=max(-PRIORITY_MAX, min(self.priority, PRIORITY_MAX)),
            size=JobSize(size_bytes=round(self.job_size * BYTES_PER_MB) or None),
            retry=Retry(max_attempts=min(self.max_retries + 1, ATTEMPTS_MAX)),
        )


@frozen(kw_only=True)
class Advance:
    """How far a job is, in percent."""

    progress: Annotated[float, Bound(0, 100)]
    message: str = ""


@frozen(kw_only=True)
class NewPool:
    """A storage pool, in gigabytes."""

    name: str
    capacity_gb: Annotated[float, Bound(0, 1e9)]
    used_gb: Annotated[float, Bound(0, 1e9)] = 0.0
    path: str = ""

    @property
    def id(self) -> str:
        """The id of a pool that is called so."""
        return _key(self.name, _POOL_CHARS_MAX)

    def spec(self) -> PoolSpec:
        """The pool to make; its name stays in the note."""
        return PoolSpec(
            url=self.path,
            capacity_bytes=round(self.capacity_gb * BYTES_PER_GB),
            used_bytes=round(self.used_gb * BYTES_PER_GB),
            note=self.name,
        )


@frozen(kw_only=True)
class Measured:
    """What an engine measured when it started: the seconds one call of its ffmpeg took."""

    benchmark_time: float = 0.0


def known(kind: type[T], data: object) -> T:
    """The fields of ``kind`` that are in ``data``. Raises InvalidCommandError."""
    if isinstance(data, Mapping):
        names = {each.name for each in attrs.fields(kind)}  # type: ignore[arg-type]  # every kind here is of attrs
        data = {name: value for name, value in data.items() if name in names}
    return parse(kind, data)


def engine_name(data: object) -> str:
    """Who says it. Raises InvalidCommandError if it does not."""
    name = data.get("engine_id") if isinstance(data, Mapping) else None
    if not isinstance(name, str):
        raise InvalidCommandError([FieldProblem("/engine_id", "is required, as text")])
    return name


def engine_key(name: str) -> str:
    """The id of an engine that calls itself so: its name, or a digest of a name that can be no id."""
    return _key(name, _ENGINE_CHARS_MAX)


def _key(name: str, chars_max: int) -> str:
    if len(name) <= chars_max and ENGINE_ID.fullmatch(name) and name[0].isalnum():
        return name
    return f"{MADE}{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:20]}"


def starts(data: Mapping[str, Any]) -> bool:
    """Whether a heartbeat is the first of a process: only that one lists codecs."""
    return "supported_codecs" in data


def profile_of(name: str, data: Mapping[str, Any]) -> Profile:
    """What an engine says of itself. A field of another type than usual is left out, never refused."""
    facts: dict[str, str | int | float | bool | tuple[str, ...]] = {
        fact: storable(data[fact]) for fact in ("hostname", "engine_type") if isinstance(data.get(fact), str)
    }
    if engine_key(name) != name:
        facts[NAME] = storable(name)
    if isinstance(data.get("streaming_support"), bool):
        facts["streaming"] = data["streaming_support"]
    if isinstance(capacity := data.get("storage_capacity_gb"), (int, float)):
        facts["storage_capacity_gb"] = float(capacity)
    if isinstance(codecs := data.get("supported_codecs"), list):
        names = [storable(each) for each in codecs[:_CODECS_MAX] if isinstance(each, str)]
        facts["supported_codecs"] = tuple(dict.fromkeys(names))
    return Profile(kinds=(DISTCONV.name,), facts=facts)


def storable(text: object, chars_max: int = _TEXT_MAX) -> str:
    """A text that every store takes: mended and cut, never refused. What is no text counts as empty."""
    if not isinstance(text, str):
        return ""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[:chars_max]
