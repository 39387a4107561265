"""What is known of the fleet follows it engine by engine: told of changes, it answers as if it had been read anew."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import exp
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core.kernel.scheduling.capable import MOVED_MAX, Capable
from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.loads import room_of
from dispatch_core.kernel.scheduling.outlook import OWN_GROUPS_MAX, Outlook
from dispatch_core.kernel.scheduling.rates import FLEET_PRIOR, Rates
from dispatch_core.testing.samples import a_job, an_attempt, an_engine
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Benchmark, Engine, Profile, Seen, Wanted, WantedState
from dispatch_core.vocabulary.jobs import Ready, group_lane
from tests.core.conftest import MakeDispatcher
from tests.core.scheduling.test_routes import claimed, film
from tests.core.scheduling.test_routes import profile as speedy

CLASSES = tuple(
    SchedulingClass(
        id=f"class-{number}", tenant="t", kind="k", task_class=f"task-{number % 2}", terms=(), large=False
    )
    for number in range(4)
)
FLEET = OWN_GROUPS_MAX + 10


def profile(slots: int, speed: float, pool: str) -> Profile:
    """An engine of a speed; the last two classes run only where the pool is ``a``."""
    cells = tuple(Benchmark(task_class=f"task-{n}", units_per_s=speed / (n + 1)) for n in range(2))
    return Profile(slots=slots, facts={"pool": pool}, benchmarks=cells)


PROFILES = tuple(
    profile(*each) for each in ((1, 3.0, "a"), (1, 3.01, "b"), (2, 3.02, "a"), (2, 0.7, "a"), (1, 0.7, "b"))
)
"""Two groups of engines, of which some may not run every class."""


def as_ever(rates: Rates, engine: Engine, task: str) -> int:
    """How long (µs) a run takes that says of the fleet what is known of it already, so that one engine moves alone."""
    fleet = rates._fleet.get(task)
    if fleet is None:
        return SECOND_US
    off = rates._corrections[task] * (0.98 * fleet.count + 1.0 + FLEET_PRIOR) - 0.98 * fleet.total
    return round((rates._base(engine, task) or 1e6) * exp(off))


class Told:
    """An outlook, what it was told, and how often it looked whether an engine may run a class."""

    def __init__(self, rates: Rates | None = None, make: Callable[..., Outlook] = Outlook) -> None:
        self.looks = 0
        self.now = 10_000 * SECOND_US
        self.begun = 0
        self.outlook = make(rates or Rates(), self.admits)

    def admits(self, wanted: SchedulingClass, engine: Engine) -> bool:
        """The rules' answer, counted."""
        self.looks += 1
        return wanted.id < "class-2" or engine.profile.facts["pool"] == "a"

    def grown(self, count: int) -> Told:
        """With so many engines of the first profile."""
        for number in range(count):
            self.outlook.engine_is(an_engine(f"e{number}", profile=PROFILES[0]))
        return self

    def change(self, number: int, **fields: Any) -> None:
        """An engine became another."""
        engine = self.outlook.engine(f"e{number}") or an_engine(f"e{number}", version=0, profile=PROFILES[0])
        self.outlook.engine_is(attrs.evolve(engine, version=engine.version + 1, **fields))

    def began(self, number: int, length_s: int) -> None:
        """A run of an engine began now."""
        self.begun += 1
        run = an_attempt(f"j{self.begun}", 1, engine_id=f"e{number}", granted_us=self.now)
        self.outlook.began(attrs.evolve(run, estimate_us=length_s * SECOND_US))

    def ended(self, number: int) -> None:
        """The first run of an engine ended."""
        standing = self.outlook._standings.get(f"e{number}")
        if standing is not None and standing.runs:
            job_id = next(iter(standing.runs)).rpartition("/")[0]
            self.outlook.ended(an_attempt(job_id, 1, engine_id=f"e{number}"))

    def learned(self, number: int, took_s: int) -> None:
        """A run of an engine taught something."""
        engine = self.outlook.engine(f"e{number}")
        if engine is not None:
            task, rates = f"task-{took_s % 2}", self.outlook.rates
            took_us = as_ever(rates, engine, task) if took_s % 3 else took_s * SECOND_US
            whole = rates.learn(engine, task, 1.0, took_us, 1e6)
            self.outlook.learned(task, None if whole else engine.id)

    def happens(self, random: Random) -> None:
        """Anything."""
        number, seconds = random.randrange(FLEET + 2), random.randrange(1, 400)
        match random.randrange(10):
            case 0 | 1:
                self.change(number, seen=random.choice([Seen.LIVE, Seen.SILENT, Seen.LIVE]))
            case 2:
                self.change(number, profile=random.choice(PROFILES))
            case 3:
                state = random.choice([WantedState.ACTIVE, WantedState.CORDONED])
                self.change(number, wanted=Wanted(state))
            case 4:
                self.learned(number, seconds)
            case 5:
                self.outlook.asked(f"e{number}", random.choice([None, self.now]), hearsay=seconds < 100)
            case 6 | 7:
                self.began(number, seconds)
            case 8:
                self.ended(number)
            case _:
                self.now += random.choice([-300, 0, 1, 60, 200]) * SECOND_US

    def anew(self, make: Callable[..., Outlook] = Outlook) -> Told:
        """An outlook that was read from the state as it is, the last engine first."""
        other = Told(self.outlook.rates, make)
        other.now = self.now
        for name, standing in sorted(self.outlook._standings.items(), reverse=True):
            other.outlook.engine_is(standing.engine)
            other.outlook.asked(name, standing.asked_us, hearsay=standing.hearsay)
            for key, (began_us, length_us) in standing.runs.items():
                run = an_attempt(key.rpartition("/")[0], 1, engine_id=name, granted_us=began_us)
                other.outlook.began(attrs.evolve(run, estimate_us=length_us))
        return other

    def answers(self, classes: Sequence[SchedulingClass] = CLASSES) -> list[object]:
        """Everything an outlook is asked."""
        outlook = self.outlook
        found: list[object] = []
        engines = [standing.engine for _, standing in sorted(outlook._standings.items())]
        groups = sorted({name for each in engines for name in outlook.groups_of(each.id)})
        for wanted in classes:
            found += [outlook.best_rate(wanted), sorted(each.id for each in outlook.serving(wanted))]
            found += [[outlook.rate_on(wanted, each) for each in engines]]
            found += [list(outlook.routes(wanted, 7.0, 1.0, self.now))]
            found += [self.left_to(wanted, group) for group in groups]
        found += [outlook.members_of(group) for group in groups]
        return [*found, outlook.slots, [outlook.alone(each) for each in engines]]

    def left_to(self, wanted: SchedulingClass, group: str) -> object:
        """What a job may expect of the group it is routed to, and whether another server hears of that."""
        ready = Ready(lane=group_lane(group), class_id=wanted.id, band=0, order_key=0, est_us=10, weight=1.0)
        job = attrs.evolve(a_job("waits"), ready=ready, updated_us=self.now)
        route = self.outlook.elsewhere(wanted, job, 7.0, self.now)
        return route, self.outlook.served_elsewhere(ready.lane, job, self.now)


class Calls:
    """How many calls of functions were made while it was asked to count."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count within."""
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _called(self, _frame: object, event: str, _argument: object) -> None:
        self.count += event in ("call", "c_call")


def check_sums(seed: int) -> None:
    """Slots, what is left of runs, who asks and when a slot is free: as counted engine by engine, whatever the clock."""
    random, told = Random(seed), Told().grown(FLEET)
    for _ in range(60):
        told.happens(random)
        if random.random() < 0.3:
            told.answers(CLASSES[:1])
    standings = told.outlook._standings
    for load in told.outlook._loads.all():
        members = [standings[name] for name in sorted(load.members)]
        for later_s in (0, 90, 500, -400, 0):
            now = told.now + later_s * SECOND_US
            assert load.room(now) == room_of(members, now)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_sums_of_a_group_are_what_its_engines_add_up_to(seed: int) -> None:
    """See ``check_sums``."""
    check_sums(seed)


@pytest.mark.soak
@given(seed=st.integers(0, 2**32))
def test_sums_of_a_group_are_what_its_engines_add_up_to_for_long(seed: int) -> None:
    """The same, 5,000 times."""
    check_sums(seed)


def check_answers(seed: int, few: bool) -> None:
    """Engines come, go and change, run and ask, and rates move, about the number from which groups are shared."""
    random, told = Random(seed), Told().grown(FLEET - 6 * few)
    for _ in range(60):
        told.happens(random)
        if random.random() < 0.3:
            told.answers(random.sample(CLASSES, 2))
    anew = told.anew()
    answers = anew.answers()
    assert told.answers() == answers
    anew.outlook = told.outlook.copy()
    assert anew.answers() == answers


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), few=st.booleans())
def test_an_outlook_that_was_told_answers_as_one_that_was_read_anew(seed: int, few: bool) -> None:
    """See ``check_answers``."""
    check_answers(seed, few)


@pytest.mark.soak
@given(seed=st.integers(0, 2**32), few=st.booleans())
def test_an_outlook_that_was_told_answers_as_one_that_was_read_anew_for_long(seed: int, few: bool) -> None:
    """The same, 5,000 times."""
    check_answers(seed, few)


def silence(told: Told, number: int) -> None:
    """An engine falls silent and comes back, and each time there is a question."""
    for seen in (Seen.SILENT, Seen.LIVE):
        told.change(number, seen=seen)
        ask(told)


def work(told: Told, number: int) -> None:
    """An engine asks, gets something, and ends what it had, while the clock goes on."""
    told.now += SECOND_US // 10
    told.outlook.asked(f"e{number}", told.now)
    ask(told)
    told.began(number, 1 + number % 7)
    ask(told)
    if number % 3:
        told.ended(number)


def ask(told: Told) -> None:
    """What a submit and a claim ask."""
    for wanted in CLASSES:
        for route in told.outlook.routes(wanted, 7.0, 1.0, told.now):
            told.left_to(wanted, route.group)
        told.outlook.best_rate(wanted)
    _ = told.outlook.slots, told.outlook.alone(an_engine("e0"))


@pytest.mark.parametrize("step", [silence, work])
def test_a_change_costs_no_more_in_a_large_fleet(step: Callable[[Told, int], None]) -> None:
    """Calls of functions and looks at rules, ten times the engines: the same, but for the depth of sorted lists."""
    calls: list[int] = []
    for engines in (200, 2_000):
        told, counter = Told().grown(engines), Calls()
        for number in range(0, engines, 2):
            told.change(number, profile=PROFILES[number % 5])
        for number in range(0, engines, 3):
            told.began(number, 5)
        ask(told)
        told.looks = 0
        with counter.counted():
            for number in range(60):
                step(told, number)
        assert told.looks <= 60 * 2 * len(CLASSES)
        calls.append(counter.count)
    assert calls[1] < 1.3 * calls[0]


def test_thousands_that_come_back_one_by_one_are_looked_at_once_each() -> None:
    """3,000 fell silent; each heartbeat is followed by a question of a claim: so many looks, and not their square."""
    told = Told().grown(3_000)
    ask(told)
    for number in range(3_000):
        told.change(number, seen=Seen.SILENT)
    told.looks = 0
    for number in range(3_000):
        told.change(number, seen=Seen.LIVE)
        told.outlook.best_rate(CLASSES[number % 2])
    assert told.looks <= 2 * 3_000 + len(CLASSES) * OWN_GROUPS_MAX


def test_the_return_of_a_fleet_costs_the_server_as_much_for_each_engine(
    make_dispatcher: MakeDispatcher,
) -> None:
    """All fall silent and come back by a heartbeat, with a job submitted and claimed after every third."""
    each: list[float] = []
    for engines in (100, 400):
        dispatcher, calls = make_dispatcher(), Calls()
        for number in range(engines):
            dispatcher.register(f"e{number}", speedy(1.0 + number % 3), session="s")
        dispatcher.submit(film(10))
        for number in range(engines):
            dispatcher.cordon(f"e{number}", reason="all at once")
        with calls.counted():
            for number in range(engines):
                dispatcher.resume(f"e{number}")
                dispatcher.heartbeat(f"e{number}", session="s")
                if number % 3 == 2:
                    dispatcher.submit(film(10))
                    claimed(dispatcher, f"e{number}")
        each.append(calls.count / engines)
    assert each[1] < 1.3 * each[0]


def test_an_engine_that_asks_again_at_once_is_no_news() -> None:
    """Later it is: two minutes after the last time that counted, nobody would leave work to it."""
    outlook = Outlook(Rates(), lambda _wanted, _engine: True)
    outlook.engine_is(an_engine("e1"))
    standing = outlook._standings["e1"]
    for asked_s, known_s in ((0, 0), (0.5, 0), (0.999, 0), (1, 1), (1.5, 1), (130, 130), (129, 129)):
        outlook.asked("e1", round(asked_s * SECOND_US))
        assert standing.asked_us == known_s * SECOND_US
    outlook.asked("e1", None)
    assert standing.asked_us is None


def test_no_copy_is_made_of_what_is_being_changed() -> None:
    """Before, meanwhile and after: a copy is whole, or there is none."""
    capable = Capable(1, "task")
    capable.put("e1", "group", 1.0)
    whole = capable.copy()
    assert whole is not None
    assert whole.engines == {"e1": 1.0}
    with capable.changing():
        assert capable.copy() is None
    assert capable.copy() is not None
    capable.rate_moved("e1")
    assert capable.copy() is None


def test_what_has_moved_is_noted_up_to_a_bound() -> None:
    """Of a class that nobody asks for no list grows; engines that may not run it are not noted at all."""
    capable = Capable(1, "task")
    for number in range(3 * MOVED_MAX):
        capable.put(f"e{number}", "group", 1.0)
    for number in range(4 * MOVED_MAX):
        capable.rate_moved(f"e{number}")
    assert capable.stale
    assert len(capable.moved) == MOVED_MAX + 1
    capable = Capable(1, "task")
    capable.rate_moved("stranger")
    assert not capable.moved
