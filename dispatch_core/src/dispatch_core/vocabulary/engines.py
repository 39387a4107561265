"""Engines: what they say of themselves (``Profile``), what we want of them, and their last sign of life."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from attrs import field, frozen

from dispatch_core.vocabulary.attempts import LeaseStatus
from dispatch_core.vocabulary.bounds import INT_MAX, NAME, Bound, Length
from dispatch_core.vocabulary.facts import FactValue
from dispatch_core.vocabulary.jobs import Text

EngineId = Annotated[str, Length(1, 100), NAME]
Facts = Annotated[Mapping[str, FactValue], Length(0, 200)]


class Seen(StrEnum):
    """What we know of an engine's life, by the server's clock."""

    LIVE = "live"
    SILENT = "silent"
    LOST = "lost"
    LEFT = "left"


class WantedState(StrEnum):
    """What the operator (or the breaker) wants of an engine."""

    ACTIVE = "active"
    CORDONED = "cordoned"
    DRAINING = "draining"
    QUARANTINED = "quarantined"


@frozen
class Wanted:
    """The wanted state, why, and who said so."""

    state: WantedState = WantedState.ACTIVE
    reason: str = ""
    actor: str = ""


@frozen(kw_only=True)
class Quarantine:
    """An engine that was taken out because it failed job after job. From ``probe_at_us`` on it is tried again:
    one job at a time is let through (``probing``). If that fails, it waits twice ``wait_us``.
    """

    probe_at_us: int
    wait_us: int
    probing: bool = False


@frozen(kw_only=True)
class Benchmark:
    """One measured cell: units (media seconds) per second for one task class, one job running."""

    task_class: Text
    units_per_s: Annotated[float, Bound(1e-9, 1e9)]
    tool: Annotated[str, Length(0, 100)] = ""


@frozen(kw_only=True)
class Profile:
    """What an engine reports at registration."""

    kinds: Annotated[tuple[Text, ...], Length(1, 32)] = ("transcode",)
    slots: Annotated[int, Bound(1, 1_000)] = 1
    facts: Facts = field(factory=dict)
    benchmarks: Annotated[tuple[Benchmark, ...], Length(0, 500)] = ()
    size_bytes_max: Annotated[int, Bound(1, INT_MAX)] | None = None
    version: Annotated[str, Length(0, 100)] = ""


@frozen(kw_only=True)
class Engine:
    """A machine's process that executes jobs, as last decided. Changes only by events: version + 1 each.

    What it failed before ``trusted_us``, when its last quarantine ended, is not held against it.
    """

    record_type: ClassVar[str] = "engine"

    id: str
    tenant: str
    version: int
    profile: Profile
    session: str
    seen: Seen
    wanted: Wanted
    registered_us: int
    updated_us: int
    quarantine: Quarantine | None = None
    trusted_us: int = 0

    @property
    def key(self) -> str:
        """The id under which the store keeps it."""
        return self.id

    @property
    def due_us(self) -> int | None:
        """When a quarantined engine is tried again. Of its silence its pulse speaks."""
        trial = self.quarantine
        return None if trial is None or trial.probing else trial.probe_at_us

    @property
    def serves(self) -> bool:
        """Whether it shows life and nobody has taken it out of service."""
        return self.seen is Seen.LIVE and self.wanted.state is WantedState.ACTIVE

    @property
    def slots(self) -> int:
        """How many jobs it may have now: one while it is quarantined."""
        return self.profile.slots if self.quarantine is None else 1


@frozen(kw_only=True)
class EnginePulse:
    """An engine's last sign of life: no history, rewritten at every heartbeat.

    ``asked_us`` is when it last asked for work and could have got some: so other servers hear of it.
    """

    record_type: ClassVar[str] = "pulse"

    engine_id: str
    tenant: str
    version: int
    seen_us: int
    due_us: int | None
    disk_free_bytes: int | None = None
    load: float | None = None
    asked_us: int | None = None

    @property
    def key(self) -> str:
        """The id under which the store keeps it."""
        return self.engine_id


@frozen(kw_only=True)
class HeartbeatAnswer:
    """Everything an engine needs to know, in one answer.

    ``leases`` answers the tokens it named; ``unnamed`` are leases it holds but did not name;
    ``next_s`` is when to call again.
    """

    wanted: Wanted
    leases: tuple[LeaseStatus, ...]
    unnamed: tuple[LeaseStatus, ...]
    next_s: float
