"""What maintenance windows keep apart: an engine in one gets nothing, one before one perhaps nothing long."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.rules.rule import EngineView
from dispatch_core.vocabulary.clock import SECOND_US, clock_text


def in_maintenance(view: EngineView) -> Reason | None:
    """Why the engine gets no work now, whatever the job."""
    for window in view.windows:
        if window.open_at(view.now_us):
            why = f": {window.reason}" if window.reason else ""
            until = clock_text(window.until_us)
            mend = f"wait until {until}, or end the window {window.id}"
            return Reason("maintenance-window", f"is in maintenance until {until}{why}", mend, volatile=True)
    return None


def closing(view: EngineView, here_us: int) -> Sequence[Reason]:
    """What keeps a job that takes ``here_us`` from an engine because of its windows, present and to come."""
    if not view.windows:
        return ()
    if now := in_maintenance(view):
        return [now]
    for window in view.windows:
        if view.now_us < window.from_us < view.now_us + here_us:
            begin, until = clock_text(window.from_us), clock_text(window.until_us)
            message = f"would take {here_us / SECOND_US:.0f} s, and maintenance begins at {begin}"
            mend = f"wait until {until}, or end the window {window.id}"
            return [Reason("maintenance-window", message, mend, volatile=True)]
    return ()
