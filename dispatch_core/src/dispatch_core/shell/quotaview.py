"""Which keys have a quota of waiting jobs, as read a moment ago, so that submits cost no read of the store."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.ports.storage import Change, Query, Transaction
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.limits import LIMITS_MAX, Limit
from dispatch_core.vocabulary.records import RecordType

REMEMBERED_US = SECOND_US
"""What a quota set on another server may take to count here."""


class QuotaView:
    """The keys with a quota of every tenant that was asked for; read again after a second, or a change made here."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, frozenset[str]]] = {}

    def forget(self) -> None:
        """Read the store again at the next question."""
        self._known.clear()

    def remember(self, changes: Sequence[Change]) -> None:
        """What was changed here counts at once."""
        if any(change.ref[0] is RecordType.LIMIT for change in changes):
            self.forget()

    def of(self, transaction: Transaction, tenant: str, monotonic_us: int) -> frozenset[str]:
        """The keys of a tenant that have a quota."""
        known = self._known.get(tenant)
        if known is None or monotonic_us - known[0] >= REMEMBERED_US:
            found = (each for each in limits_of(transaction, tenant) if each.spec.queued_max is not None)
            known = self._known[tenant] = (monotonic_us, frozenset(each.name for each in found))
        return known[1]


def limits_of(transaction: Transaction, tenant: str) -> list[Limit]:
    """A tenant's limits by key."""
    query = Query(where={"tenant": (tenant,)}, sort="name", limit=LIMITS_MAX)
    return [each for each in transaction.find(RecordType.LIMIT, query).records if isinstance(each, Limit)]
