"""Shares of accounts: a virtual clock each, so that one that floods the queue is served by turns with others."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

from attrs import define, field

from dispatch_core.vocabulary.clock import SECOND_US

ACTIVE_US = 3_600 * SECOND_US
"""An account that submitted nothing for so long does not hold others back."""
ACCOUNTS_MAX = 10_000
"""Accounts of one tenant with a clock; beyond, those that submitted longest ago are forgiven."""


@define
class _Clocks:
    """The accounts of one tenant: (clock, last heard of), the one heard of longest ago first."""

    shares: Mapping[str, float]
    clocks: dict[str, tuple[int, int]] = field(factory=dict)
    total: float = 0.0
    _order: list[tuple[int, str]] = field(factory=list)

    def share(self, account: str) -> float:
        return max(self.shares.get(account, 1.0), 1e-6)

    def put(self, account: str, clock: int, now: int) -> None:
        if self.clocks.pop(account, None) is None:
            self.total += self.share(account)
        self.clocks[account] = (clock, now)
        heappush(self._order, (clock, account))
        if len(self._order) > 2 * len(self.clocks) + 64:
            self._order = [(clock, name) for name, (clock, _) in self.clocks.items()]
            heapify(self._order)

    def back(self, account: str, before: tuple[int, int] | None) -> None:
        if before is not None:
            self.put(account, *before)
        elif self.clocks.pop(account, None) is not None:
            self.total -= self.share(account)

    def forget(self, now: int) -> None:
        while self.clocks:
            account, (_, heard) = next(iter(self.clocks.items()))
            if abs(now - heard) <= ACTIVE_US and len(self.clocks) <= ACCOUNTS_MAX:
                return
            del self.clocks[account]
            self.total -= self.share(account)

    def slowest(self) -> int | None:
        while self._order:
            clock, account = self._order[0]
            if self.clocks.get(account, (-1, 0))[0] == clock:
                return clock
            heappop(self._order)
        return None


@define(kw_only=True)
class Accounts:
    """Virtual clocks (start-time fair queueing): each job moves its account's clock on by the machine time
    it uses, over the account's share of the slots. How far a clock is ahead of the slowest active account's of
    its tenant, up to ``push_us``, is added to the key of the account's next job. Lost with the process, which forgives.
    """

    push_us: int
    shares: Mapping[str, float] = field(factory=dict)
    _tenants: dict[str, _Clocks] = field(factory=dict, init=False)
    _charged: list[tuple[_Clocks, str, tuple[int, int] | None]] = field(factory=list, init=False)

    def push(self, tenant: str, account: str, length_us: int, slots: int, now: int) -> int:
        """How far (µs) a new job of this account is put back; the account's clock moves on."""
        known = self._tenants.get(tenant)
        if known is None:
            known = self._tenants[tenant] = _Clocks(self.shares)
        known.forget(now)
        self._charged.append((known, account, known.clocks.get(account)))
        before = max(known.clocks.get(account, (0, 0))[0], now)
        share = known.share(account)
        total = known.total if account in known.clocks else known.total + share
        slowest = known.slowest()
        known.put(account, before + round(length_us * total / (share * max(slots, 1))), now)
        return 0 if slowest is None else min(max(before - max(slowest, now), 0), self.push_us)

    def settle(self) -> None:
        """What was charged stands: the jobs are accepted."""
        self._charged.clear()

    def undo(self) -> None:
        """What was charged since ``settle`` was charged for nothing: the jobs are decided again, or refused."""
        while self._charged:
            clocks, account, before = self._charged.pop()
            clocks.back(account, before)
