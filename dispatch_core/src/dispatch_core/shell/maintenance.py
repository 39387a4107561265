"""Time-driven work in bounded passes: end overdue attempts, fire timers, notice silent engines, prune receipts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import attrs
from attrs import frozen

from dispatch_core.kernel.retention import Retention
from dispatch_core.ports.storage import Transaction
from dispatch_core.shell.batch import Entry
from dispatch_core.shell.committer import Committer
from dispatch_core.shell.house import House
from dispatch_core.shell.purging import PurgeReport, purge, purgeable, retention_of
from dispatch_core.shell.strays import Strays
from dispatch_core.vocabulary.clock import SECOND_US, to_us
from dispatch_core.vocabulary.commands import (
    CheckEngine,
    Command,
    EndAttempt,
    FireTimer,
    ProbeEngine,
    PruneReceipt,
)
from dispatch_core.vocabulary.context import CLOCKWORK, Context
from dispatch_core.vocabulary.denials import PurgeDenials, WriteDenials
from dispatch_core.vocabulary.errors import DispatchError, InvariantError, StorageError
from dispatch_core.vocabulary.records import RecordType, Ref
from dispatch_core.vocabulary.windows import ExpireWindow

LOG = logging.getLogger("dispatch_core")
PURGE_PATIENCE_US = 3_600 * SECOND_US
"""After a start or a jump of the clock nothing is purged for so long: what goes by a wrong date does not come back."""
JUMP_US = 2 * SECOND_US
"""A wall clock that moves this much against the monotonic one has jumped."""


@frozen(kw_only=True)
class TickReport:
    """What one pass did; ``more`` says that a bound was reached and another pass has work now."""

    attempts: int
    timers: int
    engines: int
    receipts: int
    purged: int
    more: bool
    expiry_paused: bool

    @property
    def acted(self) -> int:
        """How many things happened."""
        return self.attempts + self.timers + self.engines + self.receipts + self.purged


def _attempt(ref: Ref) -> Command:
    job_id, _, number = ref[1].rpartition("/")
    return EndAttempt(job_id=job_id, number=int(number))


_WORK: dict[RecordType, Callable[[Ref], Command]] = {
    RecordType.ATTEMPT: _attempt,
    RecordType.JOB: lambda ref: FireTimer(job_id=ref[1]),
    RecordType.ENGINE: lambda ref: ProbeEngine(engine_id=ref[1]),
    RecordType.PULSE: lambda ref: CheckEngine(engine_id=ref[1]),
    RecordType.WINDOW: lambda ref: ExpireWindow(window_id=ref[1]),
    RecordType.DENIALS: lambda ref: PurgeDenials(key=ref[1]),
    RecordType.RECEIPT: lambda ref: PruneReceipt(key=ref[1]),
}


class Maintenance:
    """One per dispatcher. Safe on every server at once: what it finds is decided again as a command."""

    def __init__(self, house: House, committer: Committer) -> None:
        self._house = house
        self._committer = committer
        self._lock = threading.Lock()
        self._last: tuple[int, int] | None = None
        # After a start, engines get one ttl to be heard again before anything of theirs expires.
        self._paused_until_us = house.storage.monotonic_us() + to_us(house.settings.lease_ttl_s)
        self._no_purge_until_us = house.storage.monotonic_us() + PURGE_PATIENCE_US
        self._strays = Strays(house.settings.tick_rows_max * 4)

    def tick(self) -> TickReport:
        """One pass. Raises StorageError, after an attempt to open a broken store again."""
        with self._lock:
            try:
                return self._pass()
            except StorageError:
                self._try_the_writer()
                raise

    def _pass(self) -> TickReport:
        with self._house.storage.read() as snapshot:
            paused = self._watch_clock(snapshot.now())
            found = {kind: self._due(snapshot, kind) for kind in _WORK}
            strays, reached = self._strays.next(snapshot)
            purges = self._purges(snapshot)
        if paused:
            found[RecordType.ATTEMPT] = found[RecordType.PULSE] = []
        if not self._may_purge():
            found[RecordType.DENIALS] = []
        done = {kind: self._carry_out(kind, refs, paused=paused) for kind, refs in found.items()}
        self._committer.execute_many(strays, CLOCKWORK)
        self._strays.done(reached)
        self._write_denials()
        purged = self._sum(purges)
        limit = self._house.settings.tick_rows_max
        return TickReport(
            attempts=done[RecordType.ATTEMPT],
            timers=done[RecordType.JOB],
            engines=done[RecordType.PULSE] + done[RecordType.WINDOW] + done[RecordType.ENGINE],
            receipts=done[RecordType.RECEIPT],
            purged=purged,
            # A full pass that did nothing has nothing to follow: its work waits for something else.
            more=self._strays.left
            or purged >= limit
            or any(len(found[kind]) >= limit and done[kind] for kind in _WORK),
            expiry_paused=paused,
        )

    def _try_the_writer(self) -> None:
        """Only a write finds a broken handle and opens it anew; this one changes nothing."""
        with suppress(StorageError):
            self._committer.execute_many([CheckEngine(engine_id="storage-probe")], CLOCKWORK)

    def _due(self, snapshot: Transaction, kind: RecordType) -> Sequence[Ref]:
        return snapshot.due(kind, snapshot.now(), self._house.settings.tick_rows_max)

    def _carry_out(self, kind: RecordType, refs: Sequence[Ref], *, paused: bool) -> int:
        commands = [_WORK[kind](ref) for ref in refs]
        if paused:
            commands = [
                attrs.evolve(each, paused=True) if isinstance(each, FireTimer) else each for each in commands
            ]
        return self._sum(commands)

    def _sum(self, commands: Sequence[Command]) -> int:
        return sum(_acted(entry) for entry in self._committer.execute_many(commands, CLOCKWORK))

    def close(self) -> None:
        """Write down what is left, if that can be done; then no command is taken any more."""
        with suppress(
            DispatchError, InvariantError
        ):  # closed already, or closed by an observer, by the writer itself
            self._write_denials(last=True)
        self._committer.close()

    def _write_denials(self, *, last: bool = False) -> None:
        if taken := self._house.denials.take(last=last):
            try:
                self._sum([WriteDenials(denied=taken)])
            except StorageError:
                self._house.denials.put_back(taken)
                raise

    def _may_purge(self) -> bool:
        return self._house.storage.monotonic_us() >= self._no_purge_until_us

    def _purges(self, snapshot: Transaction) -> Sequence[Command]:
        if not self._may_purge():
            return ()
        return purgeable(snapshot, retention_of(self._house.settings), self._house.settings.tick_rows_max)

    def purge(self, retention: Retention | None, context: Context, *, dry_run: bool) -> PurgeReport:
        """Purge now, for whoever asks; without a retention of theirs by that of the settings."""
        retention = retention_of(self._house.settings) if retention is None else retention
        return purge(self._house.storage, self._committer, context, retention, dry_run=dry_run)

    def _watch_clock(self, now_us: int) -> bool:
        """Whether nothing may expire: just started, or the clock jumped, so engines get one ttl to speak."""
        elapsed_us = self._house.storage.monotonic_us()
        ttl_us = to_us(self._house.settings.lease_ttl_s)
        drift = 0 if self._last is None else (now_us - self._last[0]) - (elapsed_us - self._last[1])
        if abs(drift) > JUMP_US:
            self._paused_until_us = elapsed_us + ttl_us
            self._no_purge_until_us = elapsed_us + PURGE_PATIENCE_US
            self._strays.look(jumped=True)
        self._last = (now_us, elapsed_us)
        return elapsed_us < self._paused_until_us


def _acted(entry: Entry) -> bool:
    if entry.error is not None and not isinstance(entry.error, DispatchError):
        LOG.error("tick met a programmer's error in %s", entry.command, exc_info=entry.error)
    return entry.error is None and bool(entry.result)
