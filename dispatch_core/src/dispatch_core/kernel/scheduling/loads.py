"""What runs on the engines of a group and who of them asks for work: sums that follow each change, and the clock.

They are integers, so that what is added for an engine is what is taken away for it, in whatever order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping

from attrs import define, field, frozen
from sortedcontainers import SortedList

from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.ids import crockford

ASKS_WITHIN_US = 120 * SECOND_US
"""An idle engine that has not asked for work for so long is not reckoned with."""
ASKED_AGAIN_US = SECOND_US
"""That an engine asks again sooner is no news."""
LATER = 8
"""A run past its estimate is expected to last one part in so many of its time so far longer."""
UNASKED_MIN = 64

Run = tuple[int, int]
"""When a run began, and how long it should take (µs)."""


@define
class Standing:
    """An engine and its runs."""

    engine: Engine
    group: str
    asked_us: int | None = None
    hearsay: bool = False
    runs: dict[str, Run] = field(factory=dict)

    @property
    def serves(self) -> bool:
        """Whether it shows life and is in service."""
        return self.engine.serves

    @property
    def busy(self) -> bool:
        """Whether no slot is free."""
        return len(self.runs) >= self.engine.profile.slots

    def is_news(self, at_us: int | None, *, hearsay: bool) -> bool:
        """Whether it says more than is known that it asked then: it asks for every job, and to be told costs."""
        if at_us is None or self.asked_us is None or self.hearsay is not hearsay:
            return True
        return not 0 <= at_us - self.asked_us < ASKED_AGAIN_US

    def asks(self, now: int) -> bool:
        """Whether others may leave work to it: busy, or asking."""
        asked_us = self.asked_us
        return self.serves and (self.busy or (asked_us is not None and abs(now - asked_us) <= ASKS_WITHIN_US))


def profile_group(engine: Engine) -> str:
    """The name of all engines of a tenant that run the same kinds at the same benchmarked speeds."""
    parts = [engine.tenant, *engine.profile.kinds]
    parts += [f"{cell.task_class} {cell.units_per_s:.2g}" for cell in engine.profile.benchmarks]
    digest = hashlib.blake2b("\n".join(parts).encode(), digest_size=10).digest()
    return "~" + crockford(int.from_bytes(digest, "big"), 16)


@frozen
class Room:
    """The slots of a group and what should still run on them; how many of them ask for work, the next to be free, and
    whether all who ask are known by hearsay.
    """

    slots: int
    running_us: float
    asking: int
    free_us: float
    hearsay: bool


def left(run: Run, now: int) -> float:
    """How long (µs) a run should still take."""
    began_us, length_us = run
    return max(began_us + length_us - now, (now - began_us) / LATER, 0)


def room_of(standings: Iterable[Standing], now: int) -> Room:
    """The room of a few engines."""
    found = tuple(standings)
    asking = [each for each in found if each.asks(now)]
    return Room(
        sum(each.engine.profile.slots for each in found),
        sum(left(run, now) for each in found for run in each.runs.values()),
        sum(each.engine.profile.slots for each in asking),
        min((_free_in(each, now) for each in asking), default=0.0),
        all(each.hearsay for each in asking),
    )


def _free_in(standing: Standing, now: int) -> float:
    return min(left(run, now) for run in standing.runs.values()) if standing.busy else 0.0


class _Runs:
    """Runs by when they turn overdue. One is past its estimate, in parts of ``LATER``, from
    (LATER + 1) · began + LATER · length = (LATER + 1) · now on.
    """

    __slots__ = ("_begun", "_ends", "_in_time", "_overdue", "_sum_begun", "_sum_ends")

    def __init__(self) -> None:
        self._in_time: SortedList[tuple[int, int]] = SortedList()
        self._overdue: SortedList[tuple[int, int]] = SortedList()
        self._ends: SortedList[int] = SortedList()
        self._begun: SortedList[int] = SortedList()
        self._sum_ends = self._sum_begun = 0

    def add(self, run: Run) -> None:
        """One began."""
        entry = _turn(run)
        self._into_overdue(entry) if self._is_overdue(entry) else self._into_time(entry)

    def remove(self, run: Run) -> None:
        """One that was added ended."""
        entry = _turn(run)
        self._out_of_overdue(entry) if self._is_overdue(entry) else self._out_of_time(entry)

    def _is_overdue(self, entry: tuple[int, int]) -> bool:
        return bool(self._overdue) and entry <= self._overdue[-1]

    def _into_time(self, entry: tuple[int, int]) -> None:
        self._in_time.add(entry)
        self._ends.add(_end(entry))
        self._sum_ends += _end(entry)

    def _out_of_time(self, entry: tuple[int, int]) -> None:
        self._in_time.remove(entry)
        self._ends.remove(_end(entry))
        self._sum_ends -= _end(entry)

    def _into_overdue(self, entry: tuple[int, int]) -> None:
        self._overdue.add(entry)
        self._begun.add(entry[1])
        self._sum_begun += entry[1]

    def _out_of_overdue(self, entry: tuple[int, int]) -> None:
        self._overdue.remove(entry)
        self._begun.remove(entry[1])
        self._sum_begun -= entry[1]

    def _at(self, now: int) -> None:
        turned = (LATER + 1) * now
        while self._in_time and self._in_time[0][0] < turned:
            entry = self._in_time[0]
            self._out_of_time(entry)
            self._into_overdue(entry)
        while (
            self._overdue and self._overdue[-1][0] >= turned
        ):  # the clock was set back, or it began just now
            entry = self._overdue[-1]
            self._out_of_overdue(entry)
            self._into_time(entry)

    def left(self, now: int) -> int:
        """What is left of all, in parts of ``LATER``."""
        self._at(now)
        in_time = LATER * (self._sum_ends - now * len(self._in_time))
        return in_time + now * len(self._overdue) - self._sum_begun

    def least(self, now: int) -> float:
        """What is left of the one that should end first; there is one."""
        self._at(now)
        found: list[float] = [self._ends[0] - now] if self._ends else []
        if self._begun:
            found.append((now - self._begun[-1]) / LATER)
        return min(found)


def _turn(run: Run) -> tuple[int, int]:
    began_us, length_us = run
    return (LATER + 1) * began_us + LATER * length_us, began_us


def _end(entry: tuple[int, int]) -> int:
    return (entry[0] - entry[1]) // LATER


class _Asking:
    """Idle engines by when they asked, and the slots of those who did so within a span that moves with the clock."""

    __slots__ = ("_entries", "_heard", "_slots", "_span")

    def __init__(self) -> None:
        self._entries: SortedList[tuple[int, str, int, bool]] = SortedList()
        self._span = (0, 0)
        self._slots = self._heard = 0

    def put(self, standing: Standing, sign: int) -> None:
        """An engine is idle from now on (or, with −1, was)."""
        if standing.asked_us is None:
            return
        entry = (standing.asked_us, standing.engine.id, standing.engine.profile.slots, not standing.hearsay)
        if sign > 0:
            self._entries.add(entry)
        else:
            self._entries.remove(entry)
        if self._span[0] <= entry[0] < self._span[1]:
            self._count(entry, sign)

    def _count(self, entry: tuple[int, str, int, bool], sign: int) -> None:
        self._slots += sign * entry[2]
        self._heard += sign * entry[3]

    def within(self, now: int) -> tuple[int, int]:
        """The slots of those who asked lately, and how many of them asked this server."""
        old, new = self._span, (now - ASKS_WITHIN_US, now + ASKS_WITHIN_US + 1)
        if old != new:
            self._span = new
            for at, then, sign in ((old[0], new[0], -1), (old[1], new[1], 1)):
                for entry in self._entries.irange((min(at, then),), (max(at, then),)):  # type: ignore[arg-type]  # before all of that instant
                    self._count(entry, sign if at < then else -sign)
        return self._slots, self._heard


class Load:
    """The engines in service of a group, or those of them that may run a class. Told of each change of a member."""

    __slots__ = ("_asking", "_busy", "_busy_heard", "_busy_slots", "_idle", "_slots", "members", "unasked")

    def __init__(self, standings: Iterable[Standing]) -> None:
        self.members: set[str] = set()
        """Never iterated."""
        self.unasked = 0
        self._slots = self._busy_slots = self._busy_heard = 0
        self._busy, self._idle, self._asking = _Runs(), _Runs(), _Asking()
        for each in standings:
            self.add(each)

    def add(self, standing: Standing) -> None:
        """A member, as it is now."""
        if standing.engine.id not in self.members:
            self.members.add(standing.engine.id)
            self._put(standing, 1)

    def remove(self, standing: Standing) -> None:
        """No member any more, and it is as it was when the load was last told."""
        if standing.engine.id in self.members:
            self.members.discard(standing.engine.id)
            self._put(standing, -1)

    def _put(self, standing: Standing, sign: int) -> None:
        slots = standing.engine.profile.slots
        self._slots += sign * slots
        for run in standing.runs.values():
            self.run(standing, run, sign)
        if standing.busy:
            self._busy_slots += sign * slots
            self._busy_heard += sign * (not standing.hearsay)
        else:
            self._asking.put(standing, sign)

    def run(self, standing: Standing, run: Run, sign: int) -> None:
        """A run of a member began (or, with −1, ended) that is neither the one that fills it nor leaves it full."""
        runs = self._busy if standing.busy else self._idle
        if sign > 0:
            runs.add(run)
        else:
            runs.remove(run)

    def room(self, now: int) -> Room:
        """What it has to offer."""
        idle, heard = self._asking.within(now)
        free_us = self._busy.least(now) if self._busy_slots and not idle else 0.0
        return Room(
            self._slots,
            (self._busy.left(now) + self._idle.left(now)) / LATER,
            idle + self._busy_slots,
            free_us,
            not heard and not self._busy_heard,
        )

    @property
    def is_idle(self) -> bool:
        """Whether it was told of more since somebody asked than it would cost to make it anew."""
        return self.unasked > len(self.members) + UNASKED_MIN


class Loads:
    """The loads of groups, made when one is asked for: of all in service, and of those that may run a class."""

    def __init__(
        self, standings: Mapping[str, Standing], alike: Mapping[str, Mapping[str, Standing]]
    ) -> None:
        self._standings = standings
        self._alike = alike
        self._known: dict[str, dict[str, Load]] = {}

    def room(self, group: str, whose: tuple[str, Container[str]] | None, now: int) -> Room:
        """The room of a group: of all in service, or of those that may run a class, given with its id."""
        standing = self._standings.get(group)
        if standing is not None:
            return room_of([standing] if standing.serves else (), now)
        class_id, capable = ("", None) if whose is None else whose
        known = self._known.setdefault(group, {})
        load = known.get(class_id)
        if load is None:
            serving = [each for each in self._alike.get(group, {}).values() if each.serves]
            load = Load(each for each in serving if capable is None or each.engine.id in capable)
            known[class_id] = load
        load.unasked = 0
        return load.room(now)

    def of(self, standing: Standing) -> list[Load]:
        """Those that an engine in service is part of."""
        known = self._known.get(standing.group)
        if not known or not standing.serves:
            return []
        return [load for load in known.values() if standing.engine.id in load.members]

    def told(self, standing: Standing) -> list[Load]:
        """The same, without those that nobody asks for any more."""
        if not (loads := self.of(standing)):
            return loads
        for load in loads:
            load.unasked += 1
        if any(load.is_idle for load in loads):
            known = self._known[standing.group]
            self._known[standing.group] = {name: each for name, each in known.items() if not each.is_idle}
            loads = self.of(standing)
        return loads

    def joined(self, standing: Standing, class_id: str) -> None:
        """An engine serves, or may run a class, if that load is kept; ``""`` is that of all in service."""
        load = self._known.get(standing.group, {}).get(class_id)
        if load is not None:
            load.add(standing)

    def forget(self, class_id: str) -> None:
        """A class is not followed any more."""
        for known in self._known.values():
            known.pop(class_id, None)

    def all(self) -> Iterator[Load]:
        """Every one that is kept."""
        return (load for known in self._known.values() for load in known.values())
