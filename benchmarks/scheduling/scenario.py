"""A scenario: one family at one load with one seed, as values the simulator takes."""

from __future__ import annotations

from random import Random

from attrs import evolve, frozen

from benchmarks.scheduling import arrivals
from benchmarks.scheduling.families import FAMILIES, Shape, best_speeds
from benchmarks.scheduling.instance import drain_of
from dispatch_core.simulation import FleetPlan, Work, Workload

JOBS = 3_000
SIGMA = 0.3


@frozen
class Key:
    """What a scenario is drawn from; equal keys give equal scenarios, on every machine."""

    family: str
    load: float = 0.9
    seed: int = 1
    jobs: int = JOBS

    @property
    def name(self) -> str:
        """Short, and fit for a file name."""
        return f"{self.family}-{self.load:g}-{self.seed}-{self.jobs}"


@frozen
class Scenario:
    """A fleet, and the work it gets. ``drain_s`` is the least time the fleet could do it in (linear programme)."""

    key: Key
    fleet: FleetPlan
    workload: Workload
    drain_s: float


def scenario(key: Key) -> Scenario:
    """Draw a scenario. Its arrivals span ``drain_s / load``, so that a load of 1 is the limit of any policy."""
    rng = Random(f"{key.family}/{key.seed}")  # a text seeds alike on every machine and under every hash seed
    shape = FAMILIES[key.family](rng)
    titles = _titles(rng, shape, key.jobs)
    demand: dict[str, float] = {}
    for title in titles:
        for name, units in title:
            demand[name] = demand.get(name, 0.0) + units
    drain = drain_of(shape.fleet, demand)
    works: list[Work] = []
    best = best_speeds(shape.fleet)
    for at_s, title in zip(arrivals.instants(rng, len(titles), drain / key.load), titles, strict=True):
        works += _works(rng, at_s, title, best)
    return Scenario(key, shape.fleet, Workload(works=tuple(works), name=key.name), drain)


def _titles(rng: Random, shape: Shape, jobs: int) -> list[list[tuple[str, float]]]:
    titles: list[list[tuple[str, float]]] = []
    left = jobs
    while left > 0:
        titles.append(list(shape.title(rng))[:left])
        left -= len(titles[-1])
    return titles


def _works(rng: Random, at_s: float, title: list[tuple[str, float]], best: dict[str, float]) -> list[Work]:
    """The jobs of a title share its priority and its account. Declared units miss the true ones by some factor."""
    priority, account = arrivals.priority(rng), arrivals.account(rng)
    return [
        Work(
            at_s=at_s,
            task_class=name,
            units=units * rng.lognormvariate(0.0, SIGMA),
            work=units,
            priority=priority,
            account=account,
            deadline_s=arrivals.deadline_s(rng, units / best[name]),
        )
        for name, units in title
    ]


def with_error(given: Scenario, sigma: float, seed: int = 0) -> Scenario:
    """The same work, declared with another lognormal error; 0 declares the truth."""
    rng = Random(f"error/{given.key.name}/{sigma}/{seed}")
    works = [
        evolve(work, units=_true(work) * rng.lognormvariate(0.0, sigma)) for work in given.workload.works
    ]
    return evolve(given, workload=evolve(given.workload, works=tuple(works)))


def with_class_means(given: Scenario) -> Scenario:
    """The same work; all that is declared is the mean of its class."""
    sums: dict[str, list[float]] = {}
    for work in given.workload.works:
        sums.setdefault(work.task_class, []).append(_true(work))
    means = {name: sum(units) / len(units) for name, units in sums.items()}
    works = [evolve(work, units=means[work.task_class], work=_true(work)) for work in given.workload.works]
    return evolve(given, workload=evolve(given.workload, works=tuple(works)))


def at_once(given: Scenario) -> Scenario:
    """The same work, all of it there at the start."""
    works = [evolve(work, at_s=0.0) for work in given.workload.works]
    return evolve(given, workload=evolve(given.workload, works=tuple(works)))


def flooded(given: Scenario, share: float = 0.3) -> Scenario:
    """A share of the jobs comes from one account, all at once, a tenth into the span; the others keep theirs."""
    rng = Random(f"flood/{given.key.name}")
    at_s = given.workload.works[-1].at_s / 10
    works = [
        evolve(work, account="bulk", at_s=at_s, priority=1) if rng.random() < share else _small(work)
        for work in given.workload.works
    ]
    works.sort(key=lambda work: work.at_s)
    return evolve(given, workload=evolve(given.workload, works=tuple(works)))


def _small(work: Work) -> Work:
    """Seven small accounts: the eighth of the usual ones is merged into the first."""
    return evolve(work, account=arrivals.ACCOUNTS[0]) if work.account == arrivals.ACCOUNTS[7] else work


def _true(work: Work) -> float:
    return work.units if work.work is None else work.work
