"""Observers are called after commit, outside the transaction; what they raise is logged, never passed on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from dispatch_core.ports.storage import Recorded


@frozen(kw_only=True)
class BatchReport:
    """One committed batch: how many commands it served, how many it refused, and what became history."""

    commands: int
    refused: int
    history: Sequence[Recorded]
    decide_s: float
    save_s: float


class Observer(Protocol):
    """Somebody who wants to know: logs, metrics, event streams."""

    def committed(self, report: BatchReport) -> None:
        """A batch is durable."""
        ...
