"""Two ways to commit: directly (a call is a transaction) and in groups (one writer takes all that is queued)."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Protocol

import attrs

from dispatch_core.shell.batch import Entry, check, commit
from dispatch_core.shell.handlers import HANDLERS
from dispatch_core.shell.handlers.handler import Phase
from dispatch_core.shell.house import House
from dispatch_core.shell.turns import Turns, found_nothing
from dispatch_core.shell.waiting import Handed, Parked
from dispatch_core.vocabulary.commands import Claim, Command
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import ClosedError, InvariantError, OverloadedError, StorageError
from dispatch_core.vocabulary.jobs import Bucket

ReceiptKeys = Sequence[str | None]
QUIET_S = 0.0001
"""So long a writer waits for one more of several callers."""


class Committer(Protocol):
    """Carries commands to the store and answers back."""

    def execute(self, command: Command, context: Context) -> Any:
        """The command's answer, durable; or its refusal, raised."""
        ...

    def execute_many(
        self, commands: Sequence[Command], context: Context, *, receipt_keys: ReceiptKeys = ()
    ) -> list[Entry]:
        """Every command with its answer or refusal; they share batches. Raises StorageError.

        ``receipt_keys`` gives each its own; without them they have that of the context.
        """
        ...

    def stop_waiting(self) -> None:
        """Answer waiting claims with nothing, and let none wait from now on."""
        ...

    def close(self) -> None:
        """Refuse new commands and finish those accepted."""
        ...


class _Gate:
    """What both committers refuse: use after close, and use in a forked child."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self.closed = False

    def check(self) -> None:
        if self.closed:
            raise ClosedError("this dispatcher is closed")

    def check_process(self) -> None:
        """To be asked before any lock is taken: the fork may have copied it locked, for ever."""
        if os.getpid() != self._pid:
            raise InvariantError("a dispatcher does not survive fork(); make a new one in the child")


def each_in_its_context(
    commands: Sequence[Command], context: Context, receipt_keys: ReceiptKeys
) -> list[tuple[Command, Context]]:
    """Commands with the context each is decided in; ``receipt_keys`` gives each its own."""
    if not receipt_keys:
        return [(command, context) for command in commands]
    return [
        (command, attrs.evolve(context, receipt_key=key))
        for command, key in zip(commands, receipt_keys, strict=True)
    ]


class DirectCommitter:
    """Every call is one transaction in the caller's thread. Claims do not wait."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._lock = threading.RLock()
        self._gate = _Gate()

    def execute(self, command: Command, context: Context) -> Any:
        """The command's answer, durable; or its refusal, raised."""
        check(command)
        entry = Entry(command, context)
        self._commit([entry])
        return entry.answer()

    def execute_many(
        self, commands: Sequence[Command], context: Context, *, receipt_keys: ReceiptKeys = ()
    ) -> list[Entry]:
        """Every command with its answer, in as few transactions as ``batch_commands_max`` allows."""
        entries = [Entry(*each) for each in each_in_its_context(commands, context, receipt_keys)]
        size = self._house.settings.batch_commands_max
        for start in range(0, len(entries), size):
            self._commit(entries[start : start + size])
        return entries

    def _commit(self, entries: Sequence[Entry]) -> None:
        self._gate.check_process()
        with self._lock:
            self._gate.check()
            commit(self._house, entries)
            unserved = [entry for entry in entries if found_nothing(entry)]
            if unserved and self._house.storage.traits.shared:
                self._house.look_again()  # memory may be behind another server's submits: look once more
                commit(self._house, unserved)

    def stop_waiting(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Refuse new commands."""
        with self._lock:
            self._gate.closed = True


class GroupCommitter:
    """One writer thread: a batch is whatever arrived while the previous commit ran, or comes at once.

    The thread is a daemon: a program that forgets ``close`` still ends, and what it was told is durable.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._gate = _Gate()
        self._door = threading.Lock()
        self._queue: SimpleQueue[Handed | None] = SimpleQueue()
        self._parked = Parked(house)
        self._turns = Turns(house, self._parked, _finish)
        self._gathered: list[Handed] = []
        self._several = False
        self._writer = threading.Thread(target=self._write, name="dispatch-writer", daemon=True)
        self._unlisten = house.storage.listen(self._heard)
        self._writer.start()

    def execute(self, command: Command, context: Context) -> Any:
        """The command's answer, durable; or its refusal, raised."""
        check(command)
        entry = self._hand(command, context)
        entry.done.acquire()
        return entry.answer()

    def execute_many(
        self, commands: Sequence[Command], context: Context, *, receipt_keys: ReceiptKeys = ()
    ) -> list[Entry]:
        """Every command with its answer; they share the writer's batches with everybody else's."""
        entries = [self._hand_one(*each) for each in each_in_its_context(commands, context, receipt_keys)]
        for entry in entries:
            entry.done.acquire()
        if failed := next((entry.error for entry in entries if isinstance(entry.error, StorageError)), None):
            raise failed
        return list(entries)

    def _hand_one(self, command: Command, context: Context) -> Handed:
        """As ``_hand``; what there is no room for is refused by itself, for others are queued already."""
        try:
            return self._hand(command, context)
        except OverloadedError as error:
            refused = Handed(command, context, error=error)
            refused.done.release()
            return refused

    def _hand(self, command: Command, context: Context) -> Handed:
        wait_s = command.wait_s if isinstance(command, Claim) else 0.0
        entry = Handed(command, context, until=monotonic() + wait_s)
        self._gate.check_process()
        if threading.current_thread() is self._writer:
            raise InvariantError("an observer may not give commands: it is called on the writer's own thread")
        with self._door:  # nothing may be queued behind the writer's last look
            self._gate.check()
            # Half as much room again for reports: they free what everybody else waits for.
            room = self._house.settings.queue_commands_max
            room += room // 2 + 1 if HANDLERS[type(command)].phase is Phase.REPORT else 0
            if self._queue.qsize() >= room:
                raise OverloadedError("too many commands are waiting to be written", retry_after_s=1)
            self._queue.put(entry)
        return entry

    def _heard(self, buckets: frozenset[Bucket]) -> None:
        """Another server has made work: look at it, memory is behind."""
        if threading.current_thread() is self._writer:
            return  # our own commit: memory has taken it over already
        self._parked.heard.put(buckets)
        self._queue.put(None)

    def stop_waiting(self) -> None:
        """Answer waiting claims with nothing, and let none wait from now on."""
        self._turns.stopped_waiting = True
        self._queue.put(None)

    def close(self) -> None:
        """Refuse new commands, finish those accepted, end the writer."""
        with self._door:
            self._gate.closed = True
        self._unlisten()
        self.stop_waiting()
        if self._writer is not threading.current_thread():
            self._writer.join()

    # ----- the writer's side

    def _write(self) -> None:
        try:
            again: list[Handed] = []
            while not (self._gate.closed and self._queue.empty() and not again and not self._parked):
                again = self._turns.take(again + self._arrived(block=not again))
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """However the writer ends, nobody is left waiting for it."""
        with self._door:
            self._gate.closed = True
        left = self._parked.all() + self._gathered
        while not self._queue.empty():
            left += [entry for entry in [self._queue.get()] if entry is not None]
        for entry in left:
            entry.error = entry.error or (
                None if entry.result is not None else ClosedError("the writer has ended")
            )
            _finish(entry)

    def _arrived(self, *, block: bool) -> list[Handed]:
        """What is queued, and what those who were answered a moment ago queue next.

        Where several shared the last batch, each more is waited for, a moment at most: else half of all clients
        would always find the batch gone, and every commit be shared by half as many. A lone caller waits for nobody.
        """
        found = self._gathered
        entry = self._next(self._parked.patience_s()) if block else None
        found += [entry] if entry else []
        self._drain(found)
        while self._several and len(found) < self._house.settings.batch_commands_max:
            entry = self._next(QUIET_S)
            if entry is None:
                break
            found.append(entry)
            self._drain(found)
        self._several, self._gathered = len(found) > 1, []
        return found

    def _next(self, wait_s: float | None) -> Handed | None:
        with suppress(Empty):
            return self._queue.get(timeout=wait_s)
        return None

    def _drain(self, found: list[Handed]) -> None:
        with suppress(Empty):
            while len(found) < self._house.settings.batch_commands_max:
                entry = self._queue.get_nowait()
                found += [entry] if entry else []


def _finish(entry: Handed) -> None:
    entry.done.release()
