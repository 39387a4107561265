"""Claims that found nothing and may wait are parked with the writer, not in a thread of anybody's making."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

from attrs import define, field

from dispatch_core.kernel.scheduling.rules import EngineView
from dispatch_core.ports.storage import ChangeSet
from dispatch_core.shell.batch import Entry
from dispatch_core.shell.house import House
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.commands import Claim
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import OPEN_LANE, Job, engine_lane

IDLE_S = 3_600.0


@define(eq=False)
class Handed(Entry):
    """An entry handed to the writer; its lock is released when the answer is there."""

    done: Any = field(factory=threading.Lock)
    until: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.done.acquire()


class Parked:
    """The waiting claims of one writer. Only as many are decided again as gained work, best engine first."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._entries: list[Handed] = []
        self._looked_at = monotonic()
        self.look_again = False

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Handed) -> None:
        """Let a claim wait until ``entry.until``."""
        self._entries.append(entry)

    def all(self) -> list[Handed]:
        """Take out every claim."""
        taken, self._entries = self._entries, []
        return taken

    def patience_s(self) -> float:
        """How long the writer may sleep before a claim's time is up or the poll floor is reached."""
        if not self._entries:
            return IDLE_S
        floor = self._looked_at + self._house.settings.poll_floor_s
        return max(min(floor, *(entry.until for entry in self._entries)) - monotonic(), 0.0)

    def due(self) -> list[Handed]:
        """Claims to decide once more: those whose time is up, and at the poll floor all of them."""
        now = monotonic()
        if self.look_again or now >= self._looked_at + self._house.settings.poll_floor_s:
            self._looked_at = now
            if self.look_again or self._house.storage.traits.shared:
                self._house.forget()
            self.look_again = False
            return self.all()
        return self._take({id(entry) for entry in self._entries if entry.until <= now})

    def woken(self, changes: ChangeSet) -> list[Handed]:
        """The claims a commit may have helped: one per job that became ready, and those of changed engines."""
        if not self._entries:
            return []
        chosen = {id(entry) for entry in self._of_engines(changes)}
        for job in _gained(changes):
            if len(chosen) == len(self._entries):
                break
            entry = self._best_for(job, chosen)
            if entry is not None:
                chosen.add(id(entry))
        return self._take(chosen)

    def _take(self, chosen: set[int]) -> list[Handed]:
        taken = [entry for entry in self._entries if id(entry) in chosen]
        self._entries = [entry for entry in self._entries if id(entry) not in chosen]
        return taken

    def _of_engines(self, changes: ChangeSet) -> Iterator[Handed]:
        changed = set()
        for change in changes.changes:
            after = change.after
            if isinstance(after, Attempt) and after.ended_us is not None:
                changed.add(after.engine_id)
            elif isinstance(after, Engine):
                changed.add(after.id)
        return (entry for entry in self._entries if _engine_of(entry) in changed)

    def _best_for(self, job: Job, chosen: set[int]) -> Handed | None:
        assert job.ready is not None
        wanted = self._house.classifier.of(job)
        best: tuple[int, Handed] | None = None
        for entry in self._entries:
            engine = self._house.fleet.engine(_engine_of(entry))
            if id(entry) in chosen or job.ready.lane not in (OPEN_LANE, engine_lane(_engine_of(entry))):
                continue
            if engine is None:
                return entry  # unknown to memory: let it look for itself
            if self._house.matcher.reasons(job, EngineView(engine)):
                continue
            length = self._house.matcher.estimate(job, wanted, EngineView(engine), {}).here_us
            if best is None or length < best[0]:
                best = (length, entry)
        return best[1] if best else None


def _engine_of(entry: Handed) -> str:
    assert isinstance(entry.command, Claim)
    return entry.command.engine_id


def _gained(changes: ChangeSet) -> Iterator[Job]:
    for change in changes.changes:
        before, after = change.before, change.after
        if isinstance(after, Job) and after.ready is not None:
            old = before.ready if isinstance(before, Job) else None
            if old is None or old.bucket != after.ready.bucket:
                yield after
