"""What is queued where and what runs, as far as this server knows: the ground on which jobs are routed.

Every pending job is attributed to one group of engines, where it costs least; the attribution is its lane.
An outlook may be behind or wrong: that changes how good a choice is, never whether it is safe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import define, field, frozen

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.levels import level_at, level_of, weight_units
from dispatch_core.kernel.scheduling.rates import Rates, length_us
from dispatch_core.kernel.scheduling.routing import Offer, Offers, Queue, Route, Routes
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.ids import crockford
from dispatch_core.vocabulary.jobs import Job, Ready, group_of_lane

OWN_GROUPS_MAX = 32
"""Up to so many live engines each is a group of its own; above, those with the same profile share one."""
ASKS_WITHIN_US = 120 * SECOND_US
"""An idle engine that has not asked for work for so long is not reckoned with."""
HEARSAY_US = 120 * SECOND_US
"""A job is not left for longer to engines that only another server hears: it may know that they cannot take it."""
UNFIT_MAX = 10_000
OVERDUE = 0.125
"""A run past its estimate is expected to last this share of its time so far longer."""

Admits = Callable[[SchedulingClass, Engine], bool]


@define
class _Standing:
    """An engine and its runs: when each began and how long it should take."""

    engine: Engine
    group: str
    asked_us: int | None = None
    hearsay: bool = False
    runs: dict[str, tuple[int, int]] = field(factory=dict)

    @property
    def serves(self) -> bool:
        return self.engine.serves

    @property
    def busy(self) -> bool:
        return len(self.runs) >= self.engine.profile.slots

    def asks(self, now: int) -> bool:
        """Whether others may leave work to it: busy, or asking."""
        asked_us = self.asked_us
        return self.serves and (self.busy or (asked_us is not None and abs(now - asked_us) <= ASKS_WITHIN_US))


@frozen
class _Room:
    """The slots of a group and what should still run on them; how many of them ask for work, the next to be free, and
    whether all who ask are known by hearsay.
    """

    slots: int
    running_us: float
    asking: int
    free_us: float
    hearsay: bool


@frozen
class _Capable:
    """Who may run a class: µs per unit by engine and by group, and on the best of them."""

    engines: Mapping[str, float]
    groups: Mapping[str, float]
    best: float | None


class Outlook:
    """The fleet, its backlog by group, and its runs. ``admits`` tells whether an engine may run a class."""

    def __init__(self, rates: Rates, admits: Admits, unfit: Iterable[str] = ()) -> None:
        self.rates = rates
        self._admits = admits
        self._standings: dict[str, _Standing] = {}
        self._queues: dict[str, Queue] = {}
        self._members: dict[str, list[_Standing]] = {}
        self._capable: dict[str, _Capable] = {}
        self._classes: dict[str, set[str]] = {}
        self.passed_over = set(unfit)
        self._spared: dict[str, dict[str, _Room]] = {}
        self._spared_at = 0
        self._offers: dict[str, Offers] = {}

    # ----- what happened

    def engine_is(self, engine: Engine) -> None:
        """An engine registered or changed."""
        known = self._standings.get(engine.id)
        if known is None:
            self._standings[engine.id] = _Standing(engine, profile_group(engine))
        elif known.engine.profile is not engine.profile:
            known.engine, known.group = engine, profile_group(engine)
        else:
            known.engine = engine
        self._members.clear()
        self._capable.clear()
        self._spared.clear()
        self._offers.clear()

    def learned(self, task_class: str) -> None:
        """The rates of a task class have moved."""
        for class_id in self._classes.pop(task_class, ()):
            self._capable.pop(class_id, None)
            self._offers.pop(class_id, None)

    def asked(self, engine_id: str, at_us: int | None, *, hearsay: bool = False) -> None:
        """An engine asked for work; None: it may get nothing, whatever there is, and nobody leaves work to it.

        ``hearsay``: it asked another server, which alone knows what it could not take.
        """
        if (standing := self._standings.get(engine_id)) is not None:
            standing.asked_us, standing.hearsay = at_us, hearsay
            self._moved(standing)

    def unfit(self, job_id: str) -> None:
        """An engine of the group a job was routed to could not take it: anybody may."""
        if len(self.passed_over) >= UNFIT_MAX:
            self.passed_over.clear()
        self.passed_over.add(job_id)

    def moved(self, before: Ready | None, after: Ready | None) -> None:
        """A job left its place in the ready order, took one, or both."""
        for ready, sign in ((before, -1), (after, 1)):
            group = None if ready is None else group_of_lane(ready.lane)
            if ready is not None and group is not None:
                level = level_of(ready.weight, ready.est_us)
                self._queue(group).add(level, sign * ready.est_us, sign * weight_units(ready.weight))

    def waits(self, lane: str, units: int, octave: int, count: int, total_us: int) -> None:
        """``count`` jobs of one weight (in sixteenths) and half octave of length wait in a lane already."""
        if (group := group_of_lane(lane)) is not None:
            self._queue(group).add(level_at(units, octave), total_us, count * units)

    def began(self, attempt: Attempt) -> None:
        """An attempt was granted."""
        if (standing := self._standings.get(attempt.engine_id)) is not None:
            standing.runs[attempt.key] = (attempt.granted_us, attempt.estimate_us or 0)
            self._moved(standing)

    def runs(self, attempt: Attempt) -> bool:
        """Whether an attempt is known to run."""
        standing = self._standings.get(attempt.engine_id)
        return standing is not None and attempt.key in standing.runs

    def ended(self, attempt: Attempt) -> None:
        """An attempt ended."""
        if (standing := self._standings.get(attempt.engine_id)) is not None:
            standing.runs.pop(attempt.key, None)
            self._moved(standing)

    def copy(self) -> Outlook:
        """One of one's own, for questions asked beside the writer, who may go on meanwhile.

        Each part is copied at once, not all of them together: it may show half of a batch, as any outlook may.
        The rates are shared.
        """
        other = Outlook(self.rates, self._admits, self.passed_over.copy())
        other._capable = self._capable.copy()  # first: of engines that are known, and stay so
        for name, known in self._standings.copy().items():
            other._standings[name] = _Standing(
                known.engine, known.group, known.asked_us, known.hearsay, known.runs.copy()
            )
        for group, queue in self._queues.copy().items():
            other._queues[group] = Queue(queue.lengths.copy(), queue.weights.copy())
        return other

    # ----- what is to be expected

    def left_on(self, engine_id: str, now: int) -> list[float]:
        """How long (µs) each run of an engine should still take, the shortest first."""
        standing = self._standings.get(engine_id)
        return [] if standing is None else sorted(_left(run, now) for run in standing.runs.values())

    def ahead_of(self, ready: Ready) -> float | None:
        """How much work (µs of machine time) waits for the group of a place and is more urgent; None without one."""
        group = group_of_lane(ready.lane)
        if group is None:
            return None
        queue, level = self._queues.get(group, _NOTHING), level_of(ready.weight, ready.est_us)
        return queue.ahead(level)

    def members_of(self, group: str) -> tuple[str, ...]:
        """The engines of a group, in the order of their ids."""
        return tuple(sorted(each.engine.id for each in self._of(group)))

    @property
    def slots(self) -> int:
        """The slots of all engines that serve."""
        return sum(each.engine.profile.slots for each in self._standings.values() if each.serves)

    def engine(self, engine_id: str) -> Engine | None:
        """An engine as last committed, if known."""
        standing = self._standings.get(engine_id)
        return None if standing is None else standing.engine

    def groups_of(self, engine_id: str) -> tuple[str, ...]:
        """The groups an engine serves: itself, and those of its profile."""
        standing = self._standings.get(engine_id)
        return (engine_id,) if standing is None else (engine_id, standing.group)

    def rate_on(self, wanted: SchedulingClass, engine: Engine) -> float:
        """µs per unit of a class on an engine."""
        known = self._who(wanted).engines.get(engine.id)
        return known or self.rates.us_per_unit(engine, wanted.task_class, wanted.nominal_us)

    def serving(self, wanted: SchedulingClass) -> Iterator[Engine]:
        """The engines in service that may run a class, by id."""
        return (self._standings[engine_id].engine for engine_id in self._who(wanted).engines)

    def alone(self, engine: Engine) -> bool:
        """Whether no other engine of its tenant is in service."""
        others = (each.engine for each in self._standings.values() if each.serves)
        return all(other.id == engine.id or other.tenant != engine.tenant for other in others)

    def best_rate(self, wanted: SchedulingClass) -> float | None:
        """µs per unit of a class on the fastest live engine that may run it; None if there is none."""
        return self._who(wanted).best

    def routes(
        self,
        wanted: SchedulingClass,
        units: float,
        weight: float,
        now: int,
        barred: Callable[[str], bool] | None = None,
    ) -> Routes:
        """Every group that could take a job of a class now or later, except those ``barred``. To be read at once."""
        return Routes(self._offers_of(wanted, now), units, weight, barred)

    def elsewhere(self, wanted: SchedulingClass, job: Job, units: float, now: int) -> Route | None:
        """What a job may expect where it is routed: ``wait_us`` until a slot is free, plus half of what is ahead.

        None if it is routed nowhere, to engines that do not ask for work, or to one that could not take it.
        """
        assert job.ready is not None
        who, group = self._who(wanted), group_of_lane(job.ready.lane)
        rate = None if group is None else who.groups.get(group)
        if group is None or rate is None or job.id in self.passed_over:
            return None
        room = self._room(group, wanted.id, who, now)
        if not room.asking or (room.hearsay and abs(now - job.updated_us) > HEARSAY_US):
            return None
        slots, free_in = room.asking, room.free_us
        queue, level = self._queues.get(group, _NOTHING), level_of(job.ready.weight, job.ready.est_us)
        wait_us = free_in + queue.ahead(level) / 2 / slots
        here_us = length_us(units, rate)
        return Route(group, here_us, wait_us, queue.behind(level) / slots, 0.0, free_in)

    def served_elsewhere(self, lane: str, first: Job, now: int) -> bool:
        """Whether only other servers hear from the engines a lane is for: they are quicker to take what waits there.

        Not so if its first job has waited for long: whoever it is for may not be able to take it.
        """
        group = group_of_lane(lane)
        if group is None or abs(now - first.updated_us) > HEARSAY_US:
            return False
        asking = [each for each in self._of(group) if each.asks(now)]
        return bool(asking) and all(each.hearsay for each in asking)

    # ----- derived, remembered until something moves

    def _moved(self, standing: _Standing) -> None:
        self._spared.pop(standing.engine.id, None)
        self._spared.pop(standing.group, None)
        self._offers.clear()

    def _at(self, now: int) -> None:
        if now != self._spared_at:
            self._spared.clear()
            self._offers.clear()
            self._spared_at = now

    def _offers_of(self, wanted: SchedulingClass, now: int) -> Offers:
        """The groups with room for a class, by rate: the same for every job of the class until something moves."""
        self._at(now)
        found = self._offers.get(wanted.id)
        if found is None:
            who = self._who(wanted)
            by_rate: dict[float, list[Offer]] = {}
            for group, rate in who.groups.items():
                room = self._room(group, wanted.id, who, now)
                if room.slots:
                    by_rate.setdefault(rate, []).append(
                        (group, room.slots, room.running_us, self._queue(group))
                    )
            found = self._offers[wanted.id] = tuple(by_rate.items())
        return found

    def _room(self, group: str, class_id: str, who: _Capable, now: int) -> _Room:
        """The slots of a group that may run a class, and what runs on them."""
        self._at(now)
        known = self._spared.setdefault(group, {})
        for_whom = "" if group in who.engines else class_id  # its only member is the same for every class
        found = known.get(for_whom)
        if found is None:
            capable = [each for each in self._of(group) if each.engine.id in who.engines]
            asking = [each for each in capable if each.asks(now)]
            found = known[for_whom] = _Room(
                sum(each.engine.profile.slots for each in capable),
                sum(_left(run, now) for each in capable for run in each.runs.values()),
                sum(each.engine.profile.slots for each in asking),
                min((_free_in(each, now) for each in asking), default=0.0),
                all(each.hearsay for each in asking),
            )
        return found

    def _queue(self, group: str) -> Queue:
        return self._queues.setdefault(group, Queue())

    def _of(self, group: str) -> Sequence[_Standing]:
        if not self._members:
            for standing in self._standings.values():
                for name in (standing.engine.id, standing.group):
                    self._members.setdefault(name, []).append(standing)
        return self._members.get(group, ())

    def _who(self, wanted: SchedulingClass) -> _Capable:
        found = self._capable.get(wanted.id)
        if found is None:
            found = self._capable[wanted.id] = self._find(wanted)
            self._classes.setdefault(wanted.task_class, set()).add(wanted.id)
        return found

    def _find(self, wanted: SchedulingClass) -> _Capable:
        serving = [each for _, each in sorted(self._standings.items()) if each.serves]
        capable = [each for each in serving if self._admits(wanted, each.engine)]
        rates = {
            each.engine.id: self.rates.us_per_unit(each.engine, wanted.task_class, wanted.nominal_us)
            for each in capable
        }
        groups = dict(rates)
        if len(serving) > OWN_GROUPS_MAX:
            shared: dict[str, list[float]] = {}
            for each in capable:
                shared.setdefault(each.group, []).append(rates[each.engine.id])
            groups = {name: sum(found) / len(found) for name, found in sorted(shared.items())}
        return _Capable(rates, groups, min(rates.values(), default=None))


_NOTHING = Queue()


def _left(run: tuple[int, int], now: int) -> float:
    began_us, length_us = run
    return max(began_us + length_us - now, OVERDUE * (now - began_us), 0)


def _free_in(standing: _Standing, now: int) -> float:
    if not standing.busy:
        return 0.0
    return min(_left(run, now) for run in standing.runs.values())


def profile_group(engine: Engine) -> str:
    """The name of all engines of a tenant that run the same kinds at the same benchmarked speeds."""
    parts = [engine.tenant, *engine.profile.kinds]
    parts += [f"{cell.task_class} {cell.units_per_s:.2g}" for cell in engine.profile.benchmarks]
    digest = hashlib.blake2b("\n".join(parts).encode(), digest_size=10).digest()
    return "~" + crockford(int.from_bytes(digest, "big"), 16)
