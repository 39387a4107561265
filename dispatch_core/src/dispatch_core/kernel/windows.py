"""Decides about one maintenance window."""

from __future__ import annotations

import attrs

from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError, UnknownWindowError
from dispatch_core.vocabulary.windows import (
    EndWindow,
    ExpireWindow,
    PlanWindow,
    Window,
    WindowEnded,
    WindowEvent,
    WindowPlanned,
)


def plan_window(command: PlanWindow, window_id: str, tenant: str, actor: str, now: int) -> WindowPlanned:
    """The beginning of a window, which cannot lie in the past. Raises InvalidCommandError if it ends before it begins, or has ended."""
    if command.until_us <= max(command.from_us, now):
        raise InvalidCommandError([FieldProblem("/until_us", "must lie after from and in the future")])
    return WindowPlanned(
        window_id=window_id,
        tenant=tenant,
        engine_id=command.engine_id,
        from_us=max(command.from_us, now),
        until_us=command.until_us,
        reason=command.reason,
        actor=actor,
    )


def end_window(window: Window | None, command: EndWindow | ExpireWindow, now: int) -> tuple[WindowEvent, ...]:
    """The events that end a window. Raises UnknownWindowError if somebody ends one that there is not."""
    if isinstance(command, ExpireWindow):
        return (WindowEnded(cause="over"),) if window and window.until_us <= now else ()
    if window is None:
        raise UnknownWindowError(f"there is no window {command.window_id}")
    return (WindowEnded(cause="ended"),)


def evolve_window(window: Window | None, event: WindowEvent, at_us: int) -> Window:
    """The window after an event; of an ended one this is its last state."""
    if isinstance(event, WindowPlanned):
        return Window(
            id=event.window_id,
            tenant=event.tenant,
            version=1,
            engine_id=event.engine_id,
            from_us=event.from_us,
            until_us=event.until_us,
            reason=event.reason,
            actor=event.actor,
            updated_us=at_us,
        )
    assert window is not None
    return attrs.evolve(window, version=window.version + 1, updated_us=max(at_us, window.updated_us))
