"""What is left of limits, counted from the jobs that run: a count cannot drift as a counter could."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import frozen

from dispatch_core.kernel.limits import known_limit, tokens_at
from dispatch_core.ports.storage import Transaction
from dispatch_core.shell.house import House
from dispatch_core.shell.poolview import Running
from dispatch_core.shell.quotaview import limits_of
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.limits import (
    Ledger,
    Limit,
    LimitRoom,
    LimitScope,
    ledger_id,
    uses_of,
)
from dispatch_core.vocabulary.records import Record, RecordType, Ref


def ledger_refs(limits: Iterable[Limit], engine_id: str) -> list[Ref]:
    """The buckets that a grant on this engine may take from."""
    rated = (limit for limit in limits if limit.spec.rate_per_s is not None)
    return [(RecordType.LEDGER, ledger_id(limit, engine_id)) for limit in rated]


def limit_rooms(
    limits: Collection[Limit],
    running: Iterable[Job],
    ledgers: Mapping[Ref, Record | None],
    engine_id: str | None,
    now: int,
) -> dict[str, LimitRoom]:
    """What one engine meets of each limit, by key; None: what is in use on all of them."""
    everywhere: Counter[str] = Counter()
    here: Counter[str] = Counter()
    for job in running:
        for use in uses_of(job.spec):
            everywhere[use.key] += use.units
            if engine_id in (None, job.engine_id):
                here[use.key] += use.units
    rooms: dict[str, LimitRoom] = {}
    for limit in limits:
        counted = here if limit.spec.per is LimitScope.ENGINE else everywhere
        ledger = ledgers.get((RecordType.LEDGER, ledger_id(limit, engine_id or "")))
        tokens = tokens_at(limit.spec, ledger if isinstance(ledger, Ledger) else None, now)
        rooms[limit.name] = LimitRoom(limit=limit, in_use=counted[limit.name], tokens=tokens)
    return rooms


@frozen
class Held:
    """The pools and limits of a tenant that a batch has locked: among them all limits of these keys; None: of all."""

    refs: tuple[Ref, ...]
    keys: frozenset[str] | None

    def settles(self, key: str) -> bool:
        """Whether a limit of this key is here if there is one."""
        return self.keys is None or key in self.keys


class LimitsAsSeen:
    """A tenant's limits in one snapshot, read once however many engines ask."""

    def __init__(self, snapshot: Transaction, tenant: str) -> None:
        self._snapshot = snapshot
        self._tenant = tenant
        self.now = snapshot.now()
        self._found: tuple[list[Limit], list[Job]] | None = None

    def rooms(self, engine_id: str | None) -> dict[str, LimitRoom]:
        """What one engine meets of each limit, by key; None: what is in use on all of them."""
        if self._found is None:
            limits = limits_of(self._snapshot, self._tenant)
            running = Running(self._snapshot, {}).of(self._tenant) if limits else ()
            self._found = (limits, list(running))
        limits, jobs = self._found
        refs = ledger_refs(limits, engine_id or "")
        ledgers = self._snapshot.load(refs) if refs else {}
        return limit_rooms(limits, jobs, ledgers, engine_id, self.now)


# ----- questions


def limits(snapshot: Transaction, house: House, context: Context) -> Sequence[LimitRoom]:
    """The tenant's limits by key, with what is in use of each, all engines together."""
    return list(LimitsAsSeen(snapshot, context.tenant).rooms(None).values())


def limit(snapshot: Transaction, house: House, context: Context, key: str) -> LimitRoom:
    """One limit and what is in use of it. Raises UnknownLimitError."""
    found = {room.limit.name: room for room in limits(snapshot, house, context)}.get(key)
    known_limit(found.limit if found else None, key)
    assert found is not None
    return found
