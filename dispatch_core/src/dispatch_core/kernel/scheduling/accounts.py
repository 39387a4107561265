"""Shares of accounts: a virtual clock each, so that one that floods the queue is served by turns with others."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field

from dispatch_core.vocabulary.clock import SECOND_US

ACTIVE_US = 3_600 * SECOND_US
"""An account that submitted nothing for so long does not hold others back."""
ACCOUNTS_MAX = 10_000


@define(kw_only=True)
class Accounts:
    """Virtual clocks (start-time fair queueing): each job moves its account's clock on by the machine time
    it uses, over the account's share of the slots. How far a clock is ahead of the slowest active account's, up to
    ``push_us``, is added to the key of the account's next job. Lost with the process, which forgives.
    """

    push_us: int
    shares: Mapping[str, float] = field(factory=dict)
    _clocks: dict[str, tuple[int, int]] = field(factory=dict, init=False)

    def push(self, account: str, length_us: int, slots: int, now: int) -> int:
        """How far (µs) a new job of this account is put back; the account's clock moves on."""
        self._forget(now)
        before = max(self._clocks.get(account, (0, 0))[0], now)
        total = sum(self._share(name) for name in dict.fromkeys((*self._clocks, account)))
        step = length_us * total / (self._share(account) * max(slots, 1))
        slowest = min((max(clock, now) for clock, _ in self._clocks.values()), default=before)
        self._clocks[account] = (before + round(step), now)
        return min(max(before - slowest, 0), self.push_us)

    def _share(self, account: str) -> float:
        return max(self.shares.get(account, 1.0), 1e-6)

    def _forget(self, now: int) -> None:
        if (
            any(now - heard > ACTIVE_US for _, heard in self._clocks.values())
            or len(self._clocks) > ACCOUNTS_MAX
        ):
            self._clocks = {
                name: (clock, heard)
                for name, (clock, heard) in self._clocks.items()
                if now - heard <= ACTIVE_US
            }
