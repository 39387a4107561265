"""What is queued where and what runs, as far as this server knows: the ground on which jobs are routed.

Every pending job is attributed to one group of engines, where it costs least; the attribution is its lane.
An outlook may be behind or wrong: that changes how good a choice is, never whether it is safe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from dispatch_core.kernel.scheduling.capable import Capable
from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.levels import level_at, level_of, weight_units
from dispatch_core.kernel.scheduling.loads import Loads, Room, Run, Standing, left, profile_group
from dispatch_core.kernel.scheduling.rates import Rates, length_us
from dispatch_core.kernel.scheduling.routing import NOTHING_QUEUED, Offer, Offers, Queue, Route, Routes
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job, Ready, group_of_lane

OWN_GROUPS_MAX = 32
"""Up to so many live engines each is a group of its own; above, those with the same profile share one."""
HEARSAY_US = 120 * SECOND_US
"""A job is not left for longer to engines that only another server hears: it may know that they cannot take it."""
UNFIT_MAX = 10_000
_KNOWN_MAX = 4_000_000
"""Rates by class and engine that are kept; those of the classes that were met first go first."""
_JOURNAL_MIN = 1_000

Admits = Callable[[SchedulingClass, Engine], bool]


class Outlook:
    """The fleet, its backlog by group, and its runs. ``admits`` tells whether an engine may run a class."""

    def __init__(self, rates: Rates, admits: Admits, unfit: Iterable[str] = ()) -> None:
        self.rates = rates
        self._admits = admits
        self._standings: dict[str, Standing] = {}
        self._queues: dict[str, Queue] = {}
        self._alike: dict[str, dict[str, Standing]] = {}
        self._slots = 0
        self._tenants: Counter[str] = Counter()
        self._serving: Counter[str] = Counter()
        self._journal: list[str] = []
        self._changes = self._known = 0
        self._capable: dict[str, Capable] = {}
        self._classes: dict[str, dict[str, None]] = {}
        self._theirs: dict[str, Capable] = {}
        self._loads = Loads(self._standings, self._alike)
        self.passed_over = set(unfit)
        self._spared: dict[str, dict[str, Room]] = {}
        self._spared_at = 0
        self._offers: dict[str, Offers] = {}

    # ----- what happened

    def engine_is(self, engine: Engine) -> None:
        """An engine registered or changed."""
        known = self._standings.get(engine.id)
        if known is None:
            known = self._standings[engine.id] = Standing(engine, profile_group(engine))
        else:
            self._leaves(known)
            if known.engine.profile is not engine.profile:
                del self._alike[known.group][engine.id]
                known.group = profile_group(engine)
            known.engine = engine
        self._alike.setdefault(known.group, {})[engine.id] = known
        self._enters(known)
        self._changed(engine.id)
        self._spared.clear()
        self._offers.clear()

    def _leaves(self, standing: Standing) -> None:
        if standing.serves:
            self._count(standing, -1)
            for load in self._loads.of(standing):
                load.remove(standing)

    def _enters(self, standing: Standing) -> None:
        """Who may run which class is found out when it is asked for: see ``_who``."""
        if standing.serves:
            self._count(standing, 1)
            self._loads.joined(standing, "")

    def _count(self, standing: Standing, sign: int) -> None:
        self._slots += sign * standing.engine.profile.slots
        self._tenants[standing.engine.tenant] += sign
        self._serving[standing.group] += sign
        self._serving[""] += sign

    def _changed(self, engine_id: str) -> None:
        """Classes take note when they are asked for; one that is far behind is found anew."""
        self._journal.append(engine_id)
        self._changes += 1
        if len(self._journal) > 2 * len(self._standings) + _JOURNAL_MIN:
            del self._journal[: len(self._journal) // 2]

    def learned(self, task_class: str, engine_id: str | None = None) -> None:
        """The rates of a task class have moved: of all engines, or of one."""
        for class_id in self._classes.get(task_class, ()):
            if engine_id is None:
                self._capable[class_id].stale = True
            else:
                self._capable[class_id].rate_moved(engine_id)
            self._offers.pop(class_id, None)

    def asked(self, engine_id: str, at_us: int | None, *, hearsay: bool = False) -> None:
        """An engine asked for work; None: it may get nothing, whatever there is, and nobody leaves work to it.

        ``hearsay``: it asked another server, which alone knows what it could not take.
        """
        standing = self._standings.get(engine_id)
        if standing is not None and standing.is_news(at_us, hearsay=hearsay):
            loads = self._loads.told(standing)
            for load in loads:
                load.remove(standing)
            standing.asked_us, standing.hearsay = at_us, hearsay
            for load in loads:
                load.add(standing)
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
            self._ended(standing, attempt.key)
            self._began(standing, attempt.key, (attempt.granted_us, attempt.estimate_us or 0))
            self._moved(standing)

    def runs(self, attempt: Attempt) -> bool:
        """Whether an attempt is known to run."""
        standing = self._standings.get(attempt.engine_id)
        return standing is not None and attempt.key in standing.runs

    def ended(self, attempt: Attempt) -> None:
        """An attempt ended."""
        if (standing := self._standings.get(attempt.engine_id)) is not None:
            self._ended(standing, attempt.key)
            self._moved(standing)

    def _began(self, standing: Standing, key: str, run: Run) -> None:
        loads, fills = self._loads.told(standing), len(standing.runs) + 1 == standing.engine.profile.slots
        for load in loads if fills else ():
            load.remove(standing)
        standing.runs[key] = run
        for load in loads:
            load.add(standing) if fills else load.run(standing, run, 1)

    def _ended(self, standing: Standing, key: str) -> None:
        run = standing.runs.get(key)
        if run is None:
            return
        loads, frees = self._loads.told(standing), len(standing.runs) == standing.engine.profile.slots
        for load in loads:
            load.remove(standing) if frees else load.run(standing, run, -1)
        del standing.runs[key]
        for load in loads if frees else ():
            load.add(standing)

    def copy(self) -> Outlook:
        """One of one's own, for questions asked beside the writer, who may go on meanwhile.

        Each part is copied at once, not all of them together: it may show half of a batch, as any outlook may.
        The rates are shared.
        """
        other = Outlook(self.rates, self._admits, self.passed_over.copy())
        changes = self._changes
        other._theirs = {name: known for name, known in self._capable.copy().items() if known.at == changes}
        for name, known in self._standings.copy().items():
            mine = other._standings[name] = Standing(
                known.engine, known.group, known.asked_us, known.hearsay, known.runs.copy()
            )
            other._alike.setdefault(mine.group, {})[name] = mine
            other._enters(mine)
        other._changes = changes if self._changes == changes else changes + 1  # nothing is borrowed then
        for group, queue in self._queues.copy().items():
            other._queues[group] = Queue(queue.lengths.copy(), queue.weights.copy())
        return other

    # ----- what is to be expected

    def left_on(self, engine_id: str, now: int) -> list[float]:
        """How long (µs) each run of an engine should still take, the shortest first."""
        standing = self._standings.get(engine_id)
        return [] if standing is None else sorted(left(run, now) for run in standing.runs.values())

    def ahead_of(self, ready: Ready) -> float | None:
        """How much work (µs of machine time) waits for the group of a place and is more urgent; None without one."""
        group = group_of_lane(ready.lane)
        if group is None:
            return None
        queue, level = self._queues.get(group, NOTHING_QUEUED), level_of(ready.weight, ready.est_us)
        return queue.ahead(level)

    def members_of(self, group: str) -> tuple[str, ...]:
        """The engines of a group, in the order of their ids."""
        return (group,) if group in self._standings else tuple(sorted(self._alike.get(group, ())))

    @property
    def slots(self) -> int:
        """The slots of all engines that serve."""
        return self._slots

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
        return self.rates_of(wanted, engine)[0]

    def rates_of(self, wanted: SchedulingClass, engine: Engine) -> tuple[float, float]:
        """µs per unit of a class on an engine, and on the fastest live one that may run it."""
        who = self._who(wanted)
        here, best = who.engines.get(engine.id) or self._rate(wanted, engine), who.best
        return here, here if best is None else best

    def serving(self, wanted: SchedulingClass) -> Iterator[Engine]:
        """The engines in service that may run a class, in no order that means anything."""
        return (self._standings[engine_id].engine for engine_id in self._who(wanted).engines)

    def alone(self, engine: Engine) -> bool:
        """Whether no other engine of its tenant is in service."""
        known = self._standings.get(engine.id)
        itself = known is not None and known.serves and known.engine.tenant == engine.tenant
        return self._tenants[engine.tenant] == itself

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
        rate = None if group is None else self._by_group(who).get(group)
        if group is None or rate is None or job.id in self.passed_over:
            return None
        room = self._room(group, wanted.id, who, now)
        if not room.asking or (room.hearsay and abs(now - job.updated_us) > HEARSAY_US):
            return None
        slots, free_in = room.asking, room.free_us
        queue, level = self._queues.get(group, NOTHING_QUEUED), level_of(job.ready.weight, job.ready.est_us)
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
        if (alone := self._standings.get(group)) is not None:
            return alone.asks(now) and alone.hearsay
        return bool((room := self._loads.room(group, None, now)).asking) and room.hearsay

    # ----- derived, remembered until something moves

    def _moved(self, standing: Standing) -> None:
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
            for group, rate in self._by_group(who).items():
                room = self._room(group, wanted.id, who, now)
                if room.slots:
                    by_rate.setdefault(rate, []).append(
                        (group, room.slots, room.running_us, self._queue(group))
                    )
            found = self._offers[wanted.id] = tuple(by_rate.items())
        return found

    def _room(self, group: str, class_id: str, who: Capable, now: int) -> Room:
        """The slots of a group that may run a class, and what runs on them."""
        self._at(now)
        known = self._spared.setdefault(group, {})
        whole = group in who.engines or who.count(group) == self._serving[group]  # the same for every class
        for_whom = "" if whole else class_id
        found = known.get(for_whom)
        if found is None:
            found = known[for_whom] = self._loads.room(group, None if whole else (class_id, who.engines), now)
        return found

    def _queue(self, group: str) -> Queue:
        return self._queues.setdefault(group, Queue())

    def _by_group(self, who: Capable) -> Mapping[str, float]:
        return who.by_group(shared=self._serving[""] > OWN_GROUPS_MAX)

    def _who(self, wanted: SchedulingClass) -> Capable:
        found = self._capable.get(wanted.id)
        if found is None or found.at != self._changes:
            found = self._found(wanted, found)
        if found.stale or found.moved:
            found = self._at_rates_of_now(wanted, found)
        return found

    def _rate(self, wanted: SchedulingClass, engine: Engine) -> float:
        return self.rates.us_per_unit(engine, wanted.task_class, wanted.nominal_us)

    def _at_rates_of_now(self, wanted: SchedulingClass, who: Capable) -> Capable:
        def rate_of(engine_id: str) -> float:
            return self._rate(wanted, self._standings[engine_id].engine)

        if who.stale:
            who = self._capable[wanted.id] = who.at_rates(rate_of)
        else:
            who.move(rate_of)
        return who

    def _found(self, wanted: SchedulingClass, known: Capable | None) -> Capable:
        """Look at those engines that changed since the class was asked for last; at all, the first time."""
        names: Iterable[str] = self._standings
        behind = 0 if known is None else self._changes - known.at
        if known is None or known.at < 0 or behind > len(self._journal):
            self._forget(wanted.id)
            known = self._capable[wanted.id] = self._borrowed(wanted) or Capable(-1, wanted.task_class)
            self._classes.setdefault(wanted.task_class, {})[wanted.id] = None
            self._known += len(known.engines)
        if known.at == self._changes:
            return known
        if known.at >= 0:
            names = dict.fromkeys(self._journal[len(self._journal) - behind :])
        known.at = self._changes  # first of all: see ``Capable.copy``
        before = len(known.engines)
        try:
            with known.changing():
                for name in names:
                    self._look(wanted, self._standings[name], known)
        except BaseException:  # a rule that raises: some were not looked at
            known.at = -1
            raise
        finally:
            self._known += len(known.engines) - before
        return known

    def _borrowed(self, wanted: SchedulingClass) -> Capable | None:
        """What the writer knew of a class when this copy was made, if that is still to be had."""
        while self._capable and self._known + len(self._standings) > _KNOWN_MAX:
            self._forget(next(iter(self._capable)))
        theirs = self._theirs.pop(wanted.id, None)
        copied = None if theirs is None else theirs.copy()
        return copied if copied is not None and copied.at == self._changes else None

    def _forget(self, class_id: str) -> None:
        if (known := self._capable.pop(class_id, None)) is not None:
            del self._classes[known.task_class][class_id]
            self._known -= len(known.engines)
            self._loads.forget(class_id)

    def _look(self, wanted: SchedulingClass, standing: Standing, who: Capable) -> None:
        """Whether an engine may run a class now, and how fast."""
        engine, rate = standing.engine, None
        if standing.serves and self._admits(wanted, engine):
            rate = self._rate(wanted, engine)
        who.put(engine.id, standing.group, rate)
        if rate is not None:
            self._loads.joined(standing, wanted.id)
