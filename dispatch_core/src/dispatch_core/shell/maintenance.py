"""Time-driven work in bounded passes: end overdue attempts, fire timers, notice silent engines, prune receipts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from dispatch_core.ports.storage import Transaction
from dispatch_core.shell.batch import Entry
from dispatch_core.shell.committer import Committer
from dispatch_core.shell.house import House
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.clock import SECOND_US, to_us
from dispatch_core.vocabulary.commands import CheckEngine, Command, EndAttempt, FireTimer, PruneReceipt
from dispatch_core.vocabulary.context import CLOCKWORK
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.records import RecordType, Ref

JUMP_US = 2 * SECOND_US
"""A wall clock that moves this much against the monotonic one has jumped."""
FAR_US = 2**62


@frozen(kw_only=True)
class TickReport:
    """What one pass did; ``more`` says that a bound was reached and another pass has work now."""

    attempts: int
    timers: int
    engines: int
    receipts: int
    more: bool
    expiry_paused: bool

    @property
    def acted(self) -> int:
        """How many things happened."""
        return self.attempts + self.timers + self.engines + self.receipts


def _attempt(ref: Ref) -> Command:
    job_id, _, number = ref[1].rpartition("/")
    return EndAttempt(job_id=job_id, number=int(number))


_WORK: dict[RecordType, Callable[[Ref], Command]] = {
    RecordType.ATTEMPT: _attempt,
    RecordType.JOB: lambda ref: FireTimer(job_id=ref[1]),
    RecordType.PULSE: lambda ref: CheckEngine(engine_id=ref[1]),
    RecordType.RECEIPT: lambda ref: PruneReceipt(key=ref[1]),
}

_EVERYWHERE: Mapping[RecordType, int | None] = {RecordType.ATTEMPT: None, RecordType.JOB: None}


class Maintenance:
    """One per dispatcher. Safe on every server at once: what it finds is decided again as a command."""

    def __init__(self, house: House, committer: Committer) -> None:
        self._house = house
        self._committer = committer
        self._lock = threading.Lock()
        self._last: tuple[int, int] | None = None
        # After a start, engines get one ttl to be heard again before anything of theirs expires.
        self._paused_until_us = house.storage.monotonic_us() + to_us(house.settings.lease_ttl_s)
        # Where the search for timers of a future that will not come so soon has got to, by type of record.
        self._stray_after: dict[RecordType, int | None] = dict(_EVERYWHERE)  # no server ran: who knows

    def tick(self) -> TickReport:
        """One pass."""
        with self._lock:
            with self._house.storage.read() as snapshot:
                paused = self._watch_clock(snapshot.now())
                found = {kind: self._due(snapshot, kind) for kind in _WORK}
                strays = self._strays(snapshot)
            if paused:
                found[RecordType.ATTEMPT] = found[RecordType.PULSE] = []
            done = {kind: self._carry_out(kind, refs) for kind, refs in found.items()}
            self._committer.execute_many(strays, CLOCKWORK)
        limit = self._house.settings.tick_rows_max
        return TickReport(
            attempts=done[RecordType.ATTEMPT],
            timers=done[RecordType.JOB],
            engines=done[RecordType.PULSE],
            receipts=done[RecordType.RECEIPT],
            more=bool(self._stray_after) or any(len(refs) >= limit for refs in found.values()),
            expiry_paused=paused,
        )

    def _due(self, snapshot: Transaction, kind: RecordType) -> Sequence[Ref]:
        return snapshot.due(kind, snapshot.now(), self._house.settings.tick_rows_max)

    def _carry_out(self, kind: RecordType, refs: Sequence[Ref]) -> int:
        entries = self._committer.execute_many([_WORK[kind](ref) for ref in refs], CLOCKWORK)
        return sum(_acted(entry) for entry in entries)

    def _watch_clock(self, now_us: int) -> bool:
        """Whether nothing may expire: just started, or the clock jumped, so engines get one ttl to speak."""
        elapsed_us = self._house.storage.monotonic_us()
        ttl_us = to_us(self._house.settings.lease_ttl_s)
        drift = 0 if self._last is None else (now_us - self._last[0]) - (elapsed_us - self._last[1])
        if abs(drift) > JUMP_US:
            self._paused_until_us = elapsed_us + ttl_us
            self._stray_after = dict(_EVERYWHERE) if drift < 0 else self._stray_after
        self._last = (now_us, elapsed_us)
        return elapsed_us < self._paused_until_us

    def _strays(self, snapshot: Transaction) -> list[Command]:
        """After a jump back: what was stamped by the old clock; a bounded part of all timers ahead per pass."""
        limit = self._house.settings.tick_rows_max * 4
        commands: list[Command] = []
        for kind, reached in list(self._stray_after.items()):
            after = snapshot.now() if reached is None else reached
            refs = snapshot.due(kind, FAR_US, limit, after_us=after)
            commands += [_WORK[kind](ref) for ref in refs]
            last = snapshot.load(refs[-1:]).get(refs[-1]) if len(refs) == limit else None
            if isinstance(last, (Job, Attempt)) and last.due_us is not None:
                self._stray_after[kind] = last.due_us
            else:
                del self._stray_after[kind]
        return commands


def _acted(entry: Entry) -> bool:
    return entry.error is None and bool(entry.result)
