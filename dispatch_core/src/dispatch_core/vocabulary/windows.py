"""Maintenance windows: times in which an engine, or a tenant's whole fleet, gets no work."""

from __future__ import annotations

from typing import Annotated, ClassVar

from attrs import frozen

from dispatch_core.vocabulary.bounds import Length
from dispatch_core.vocabulary.engines import EngineId
from dispatch_core.vocabulary.jobs import Instant, Note

WindowId = Annotated[str, Length(1, 64)]
WINDOWS_MAX = 1_000
"""Windows of one tenant, those of the past apart."""


@frozen(kw_only=True)
class Window:
    """From ``from_us`` until ``until_us`` an engine (None: all of the tenant) gets no work; it is gone after that."""

    record_type: ClassVar[str] = "window"

    id: str
    tenant: str
    version: int
    engine_id: str | None
    from_us: int
    until_us: int
    reason: str
    actor: str
    updated_us: int

    @property
    def key(self) -> str:
        """The key of its record."""
        return self.id

    @property
    def due_us(self) -> int | None:
        """When it is over."""
        return self.until_us

    def open_at(self, now_us: int) -> bool:
        """Whether an instant lies in it."""
        return self.from_us <= now_us < self.until_us


@frozen(kw_only=True)
class PlanWindow:
    """Give an engine, or with None all engines, no work in a time to come."""

    engine_id: EngineId | None
    from_us: Instant
    until_us: Instant
    reason: Note = ""


@frozen(kw_only=True)
class EndWindow:
    """End a window now, or call it off."""

    window_id: WindowId


@frozen(kw_only=True)
class ExpireWindow:
    """A window's time is over (given by tick only)."""

    window_id: WindowId


WindowCommand = PlanWindow | EndWindow | ExpireWindow


@frozen(kw_only=True)
class WindowPlanned:
    """There will be a time without work."""

    window_id: str
    tenant: str
    engine_id: str | None
    from_us: int
    until_us: int
    reason: str
    actor: str


@frozen(kw_only=True)
class WindowEnded:
    """It is over: by its time (``over``), or because somebody said so (``ended``)."""

    cause: str


WindowEvent = WindowPlanned | WindowEnded
