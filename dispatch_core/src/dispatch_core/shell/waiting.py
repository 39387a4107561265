"""Claims that found nothing and may wait are parked with the writer, not in a thread of anybody's making."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

import attrs
from attrs import define, field

from dispatch_core.ports.storage import EVERYWHERE, ChangeSet
from dispatch_core.shell.batch import Entry
from dispatch_core.shell.house import House
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.commands import Claim
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import ENGINE_LANES, Bucket, Job, JobState, engine_lane, group_of_lane
from dispatch_core.vocabulary.limits import Limit
from dispatch_core.vocabulary.pools import Pool

IDLE_S = 3_600.0
OFFERS_MAX = 1_000
"""Jobs told to waiting claims at a time; beyond, the poll floor tells the rest."""


@define(eq=False)
class Handed(Entry):
    """An entry handed to the writer; its lock is released when the answer is there."""

    done: Any = field(factory=threading.Lock)
    until: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.done.acquire()


class Parked:
    """The waiting claims of one writer. Only as many are decided again as gained work, best engine first."""

    def __init__(
        self, house: House, now_s: Callable[[], float] = monotonic, *, floor_s: float | None = None
    ) -> None:
        self._house = house
        self._now_s = now_s
        self._floor_s = house.settings.poll_floor_s if floor_s is None else floor_s
        self._entries: list[Handed] = []
        self._looked_at = now_s()
        self.heard: SimpleQueue[frozenset[Bucket]] = SimpleQueue()
        self._offers: dict[str, tuple[Job, set[int]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Handed) -> None:
        """Let a claim wait until ``entry.until``."""
        if isinstance(entry.command, Claim) and not entry.command.waited:
            entry.command = attrs.evolve(entry.command, waited=True)
        self._entries.append(entry)

    def may_wait(self, entry: Handed) -> bool:
        """Whether a claim's time is not up yet."""
        return self._now_s() < entry.until

    def remove(self, entry: Handed) -> None:
        """A claim whose caller is gone."""
        self._take({id(entry)})

    def all(self) -> list[Handed]:
        """Take out every claim."""
        taken, self._entries = self._entries, []
        return taken

    def patience_s(self) -> float:
        """How long the writer may sleep before a claim's time is up or the poll floor is reached."""
        if not self._entries:
            return IDLE_S
        floor = self._looked_at + self._floor_s
        return max(min(floor, *(entry.until for entry in self._entries)) - self._now_s(), 0.0)

    def due(self) -> list[Handed]:
        """Claims to decide once more: those whose time is up, those other servers have work for, at the floor all."""
        now = self._now_s()
        buckets = self._news()
        if EVERYWHERE in buckets or now >= self._looked_at + self._floor_s:
            return self.look()
        self._house.heads.doubt(buckets)
        expired = {id(entry) for entry in self._entries if entry.until <= now}
        return self._take(expired | {id(entry) for bucket in buckets for entry in self._meant(bucket)})

    def _news(self) -> dict[Bucket, None]:
        """The buckets that others have put work into since the last turn."""
        found: dict[Bucket, None] = {}
        with suppress(Empty):
            while True:
                found.update(dict.fromkeys(sorted(self.heard.get_nowait())))
        return found

    def _meant(self, bucket: Bucket) -> Sequence[Handed]:
        """Who waits for such work: the engines it is routed or pinned to; if none of them waits here, everybody."""
        lane, group = bucket[0], group_of_lane(bucket[0])
        meant = [
            entry
            for entry in self._entries
            if lane == engine_lane(_engine_of(entry))
            or (group is not None and group in self._house.fleet.groups_of(_engine_of(entry)))
        ]
        return meant or ([] if lane.startswith(ENGINE_LANES) else self._entries)

    def look(self) -> list[Handed]:
        """The poll floor: all of them, and memory may be behind another server."""
        self._looked_at = self._now_s()
        if self._house.storage.traits.shared:
            self._house.look_again()
        return self.all()

    def woken(self, changes: Sequence[ChangeSet]) -> list[Handed]:
        """The claims to decide once more: one per job on offer, best engine first, and changed engines'.

        A job stays on offer until it is granted or every claim it might suit has looked: a woken claim
        that finds nothing (its slots may be full) passes the offer on.
        """
        for each in changes:
            self._renew_offers(each)
        if not self._entries:
            self._offers.clear()
            return []
        chosen = {id(entry) for each in changes for entry in self._of_engines(each)}
        for job_id, (job, asked) in list(self._offers.items()):
            entry = None if len(chosen) == len(self._entries) else self._best_for(job, chosen, asked)
            if entry is not None:
                chosen.add(id(entry))
                asked.add(id(entry))
            elif not chosen:
                del self._offers[job_id]
        return self._take(chosen)

    def _renew_offers(self, changes: ChangeSet) -> None:
        for change in changes.changes:
            if isinstance(change.after, Job) and change.after.ready is None:
                self._offers.pop(change.after.id, None)
        for job in (*_gained(changes), *self._unblocked(changes)):
            if len(self._offers) < OFFERS_MAX:
                self._offers[job.id] = (job, set())

    def _unblocked(self, changes: ChangeSet) -> Iterator[Job]:
        """Jobs that may have waited for room in a pool, or of a limit, which has more of it now."""
        for tenant, name in dict.fromkeys(_freed(changes)) if self._entries else ():
            yield from self._house.heads.waiting_for(tenant, name, len(self._entries))

    def _take(self, chosen: set[int]) -> list[Handed]:
        if not chosen:
            return []
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
        return (entry for entry in self._entries if _engine_of(entry) in changed) if changed else iter(())

    def _best_for(self, job: Job, chosen: set[int], asked: set[int]) -> Handed | None:
        """The fastest engine that waits, would take such a job, and was neither chosen nor asked yet."""
        assert job.ready is not None
        wanted, lane = self._house.classifier.of(job), job.ready.lane
        pinned = lane.startswith(ENGINE_LANES)
        length_on = self._house.fleet.lengths(job)
        best: tuple[int, Handed] | None = None
        for entry in self._entries:
            if id(entry) in chosen or id(entry) in asked:
                continue
            if pinned and lane != engine_lane(_engine_of(entry)):
                continue
            engine = self._house.fleet.engine(_engine_of(entry))
            if engine is None:
                return entry  # unknown to memory: let it look for itself
            if self._house.matcher.admits(wanted, engine):
                continue
            length = length_on(engine)
            if length is not None and (best is None or length < best[0]):
                best = (length, entry)
        return best[1] if best else None


def _engine_of(entry: Handed) -> str:
    assert isinstance(entry.command, Claim)
    return entry.command.engine_id


def _freed(changes: ChangeSet) -> Iterator[tuple[str, str]]:
    """The tenant and name of what may have gained room: a job that had some of it stopped, or it changed."""
    for change in changes.changes:
        before, after = change.before, change.after
        if isinstance(after, Pool):
            yield after.tenant, f"pool:{after.id}"
        if isinstance(limit := after or before, Limit):
            yield limit.tenant, f"limit:{limit.name}"
        if not isinstance(before, Job) or before.state is not JobState.ASSIGNED:
            continue
        if not isinstance(after, Job) or after.state is not JobState.ASSIGNED:
            yield from ((before.tenant, name) for name in before.spec.scarce)


def _gained(changes: ChangeSet) -> Iterator[Job]:
    for change in changes.changes:
        before, after = change.before, change.after
        if isinstance(after, Job) and after.ready is not None:
            old = before.ready if isinstance(before, Job) else None
            if old is None or old.bucket != after.ready.bucket:
                yield after
