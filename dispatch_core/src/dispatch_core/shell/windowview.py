"""Maintenance windows as read a moment ago, so that claims cost no read of the store."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.ports.storage import Change, Query, Transaction
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.records import RecordType
from dispatch_core.vocabulary.windows import WINDOWS_MAX, Window

REMEMBERED_US = SECOND_US
"""What a window planned on another server may take to count here."""


class WindowView:
    """The windows of every tenant that was asked for; read again after a second, or a change made here."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, tuple[Window, ...]]] = {}

    def forget(self) -> None:
        """Read the store again at the next question."""
        self._known.clear()

    def remember(self, changes: Sequence[Change]) -> None:
        """What was changed here counts at once."""
        if any(change.ref[0] is RecordType.WINDOW for change in changes):
            self.forget()

    def of(
        self, transaction: Transaction, engine: Engine, now_us: int, monotonic_us: int, *, ahead: bool
    ) -> tuple[Window, ...]:
        """The windows of an engine: those open now, and ``ahead`` those to come."""
        known = self._known.get(engine.tenant)
        if known is None or monotonic_us - known[0] >= REMEMBERED_US:
            known = self._known[engine.tenant] = (monotonic_us, tuple(windows_of(transaction, engine.tenant)))
        return tuple(
            window for window in concerning(known[1], engine.id, now_us) if ahead or window.open_at(now_us)
        )


def windows_of(transaction: Transaction, tenant: str) -> list[Window]:
    """A tenant's windows, the first to open first."""
    query = Query(where={"tenant": (tenant,)}, sort="from_us", limit=WINDOWS_MAX)
    found = transaction.find(RecordType.WINDOW, query).records
    return [window for window in found if isinstance(window, Window)]


def concerning(windows: Sequence[Window], engine_id: str, now_us: int) -> list[Window]:
    """Those of an engine that are not over."""
    return [each for each in windows if each.engine_id in (None, engine_id) and each.until_us > now_us]


def windows(snapshot: Transaction, house: object, context: Context) -> list[Window]:
    """The tenant's windows that are not over, the first to open first."""
    now = snapshot.now()
    return [each for each in windows_of(snapshot, context.tenant) if each.until_us > now]
