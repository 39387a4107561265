"""A writer's turn: one batch is committed and answered, what found nothing is parked, who gained work is woken.

A writer's thread takes turns with whatever arrives; a simulation takes them when its clock says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from dispatch_core.ports.storage import ChangeSet
from dispatch_core.shell.batch import Entry, commit
from dispatch_core.shell.house import House
from dispatch_core.shell.waiting import Handed, Parked
from dispatch_core.vocabulary.commands import Claim

LOG = logging.getLogger("dispatch_core")


def found_nothing(entry: Entry) -> bool:
    """Whether this is a claim that was answered with no lease."""
    return isinstance(entry.command, Claim) and entry.error is None and entry.result == []


class Turns:
    """What a writer does with a batch; ``finish`` is called with every entry that has its answer."""

    def __init__(self, house: House, parked: Parked, finish: Callable[[Handed], None]) -> None:
        self._house = house
        self._parked = parked
        self._finish = finish
        self.stopped_waiting = False

    def take(self, entries: Sequence[Handed]) -> list[Handed]:
        """One batch; the claims to decide once more in the next."""
        again = self._woken(self._serve(entries)) if entries else []
        again += self._due()
        if not self.stopped_waiting:
            return again
        for entry in again + self._parked.all():
            self._finish(entry)
        return []

    def _due(self) -> list[Handed]:
        try:
            return self._parked.due()
        except Exception:  # whatever other servers said, it must not end the writer
            LOG.exception("what other servers said is not understood; every waiting claim looks for itself")
            return self._parked.look()

    def _serve(self, entries: Sequence[Handed]) -> list[ChangeSet]:
        changes = self._try(entries)
        for entry in entries:
            if self._may_wait(entry):
                self._parked.add(entry)
            else:
                self._finish(entry)
        return changes

    def _try(self, entries: Sequence[Handed]) -> list[ChangeSet]:
        try:
            return commit(self._house, entries)
        except Exception as error:  # noqa: BLE001  # whatever it is, every caller must hear of it
            for entry in entries:
                entry.error = error
            return []

    def _woken(self, changes: Sequence[ChangeSet]) -> list[Handed]:
        try:
            return self._parked.woken(changes)
        except Exception:  # a rule that raises must not end the writer, and with it everybody's answers
            LOG.exception("choosing whom to wake failed; every waiting claim looks for itself")
            return self._parked.all()

    def _may_wait(self, entry: Handed) -> bool:
        return found_nothing(entry) and not self.stopped_waiting and self._parked.may_wait(entry)
