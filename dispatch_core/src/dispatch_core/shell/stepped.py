"""A committer without a thread: its caller drives the turns, and time is what the caller says it is.

It shares every turn with the group committer, so that a simulation runs the very code that serves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from dispatch_core.shell.batch import Entry, check
from dispatch_core.shell.committer import ReceiptKeys, each_in_its_context
from dispatch_core.shell.house import House
from dispatch_core.shell.turns import Turns
from dispatch_core.shell.waiting import Handed, Parked
from dispatch_core.vocabulary.commands import Command
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import ClosedError, StorageError


class SteppedCommitter:
    """For one caller in one thread. A call takes turns until nobody gained work; then it returns.

    Claims given to ``execute`` do not wait. Those given to ``hand`` wait until there is work for them,
    however long that takes: ``answered`` says which it was that got their answer since it was last asked.
    """

    def __init__(self, house: House, now_s: Callable[[], float]) -> None:
        self._house = house
        self._parked = Parked(house, now_s, floor_s=math.inf)
        self._turns = Turns(house, self._parked, self._finish)
        self._answered: list[Handed] = []
        self._closed = False

    def execute(self, command: Command, context: Context) -> Any:
        """The command's answer, durable; or its refusal, raised."""
        check(command)
        [entry] = self.execute_many([command], context)
        return entry.answer()

    def execute_many(
        self, commands: Sequence[Command], context: Context, *, receipt_keys: ReceiptKeys = ()
    ) -> list[Entry]:
        """Every command with its answer; they share batches. Raises StorageError."""
        entries = [
            Handed(*pair, until=-math.inf) for pair in each_in_its_context(commands, context, receipt_keys)
        ]
        self._take_turns(entries)
        if failed := next((entry.error for entry in entries if isinstance(entry.error, StorageError)), None):
            raise failed
        return list(entries)

    def hand(self, commands: Sequence[tuple[Command, Context]]) -> list[Handed]:
        """Decide commands together, each in its context. Claims that find nothing wait; others have their answer."""
        for command, _ in commands:
            check(command)
        entries = [Handed(command, context, until=math.inf) for command, context in commands]
        self._take_turns(entries)
        return entries

    def answered(self) -> list[Handed]:
        """The entries given to ``hand`` that were answered since the last call, in the order of their answers."""
        found, self._answered = self._answered, []
        return found

    def look(self) -> None:
        """The poll floor: every waiting claim is decided again."""
        self._take_turns(self._parked.look())

    def withdraw(self, entry: Handed) -> None:
        """A waiting claim whose caller is gone: it will not be answered."""
        self._parked.remove(entry)

    def stop_waiting(self) -> None:
        """Answer waiting claims with nothing, and let none wait from now on."""
        self._turns.stopped_waiting = True
        self._turns.take([])

    def close(self) -> None:
        """Refuse new commands."""
        self._closed = True
        self.stop_waiting()

    def _take_turns(self, entries: Sequence[Handed]) -> None:
        if self._closed:
            raise ClosedError("this dispatcher is closed")
        size = self._house.settings.batch_commands_max
        left = list(entries)
        while left:
            left = self._turns.take(left[:size]) + left[size:]

    def _finish(self, entry: Handed) -> None:
        if entry.until == math.inf:
            self._answered.append(entry)
