"""The engines as last committed: whose speed is best, and who might want what a commit made ready."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dispatch_core.ports.storage import Change, Query, Transaction
from dispatch_core.vocabulary.engines import Engine, Seen
from dispatch_core.vocabulary.records import RecordType

_PAGE = 1_000


class FleetView:
    """A copy of the engine records, for choices only; read again after ``forget``."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] | None = None
        self._speeds: dict[str, float] | None = None

    def forget(self) -> None:
        """Read the store again at the next question."""
        self._engines = self._speeds = None

    def remember(self, changes: Sequence[Change]) -> None:
        """Take over committed engine records."""
        for change in changes:
            if self._engines is not None and isinstance(change.after, Engine):
                self._engines[change.after.id] = change.after
                self._speeds = None

    def engine(self, engine_id: str) -> Engine | None:
        """The engine as last committed, if known."""
        return (self._engines or {}).get(engine_id)

    def speeds(self, transaction: Transaction) -> dict[str, float]:
        """The best units per second among live engines, by task class."""
        if self._engines is None:
            self._engines = {engine.id: engine for engine in all_engines(transaction)}
        if self._speeds is None:
            self._speeds = best_speeds(self._engines.values())
        return self._speeds


def best_speeds(engines: Iterable[Engine]) -> dict[str, float]:
    """The best units per second among live engines, by task class."""
    speeds: dict[str, float] = {}
    for cell in (
        cell for engine in engines if engine.seen is Seen.LIVE for cell in engine.profile.benchmarks
    ):
        speeds[cell.task_class] = max(cell.units_per_s, speeds.get(cell.task_class, 0.0))
    return speeds


def all_engines(transaction: Transaction) -> list[Engine]:
    """Every engine record, page by page."""
    found: list[Engine] = []
    query: Query | None = Query(sort="registered_us", limit=_PAGE)
    while query is not None:
        page = transaction.find(RecordType.ENGINE, query)
        found += [record for record in page.records if isinstance(record, Engine)]
        query = Query(sort="registered_us", limit=_PAGE, after=page.next) if page.next else None
    return found
