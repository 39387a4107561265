"""Observers are called after commit, outside the transaction; what they raise is logged, never passed on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from dispatch_core.ports.storage import Recorded


@frozen(kw_only=True)
class CompletedRun:
    """An attempt that completed its job: how long it should have taken, as far as was known, and took."""

    engine_id: str
    task_class: str
    estimate_s: float | None
    took_s: float


@frozen(kw_only=True)
class BatchReport:
    """One committed batch: how many commands it served, how many it refused, and what became history.

    ``completed`` are the attempts that completed in it, ``deadlines_missed`` counts the jobs that ended too late.
    Where servers share a store: ``granted`` jobs, jobs that had been chosen but were ``lost`` to a server that was
    faster, and how often the whole batch was decided ``again`` because another had changed what it rested on.
    """

    commands: int
    refused: int
    history: Sequence[Recorded]
    decide_s: float
    save_s: float
    completed: Sequence[CompletedRun] = ()
    deadlines_missed: int = 0
    granted: int = 0
    lost: int = 0
    again: int = 0


class Observer(Protocol):
    """Somebody who wants to know: logs, metrics, event streams."""

    def committed(self, report: BatchReport) -> None:
        """A batch is durable."""
        ...
