"""A fleet as a value: types of engines, how many of each, how fast they are, and how they fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from attrs import field, frozen

from dispatch_core.simulation.kind import SIMULATED
from dispatch_core.simulation.workload import Moment, refuse
from dispatch_core.vocabulary.bounds import NAME, Bound, Length, problems_of
from dispatch_core.vocabulary.engines import Benchmark, Facts, Profile
from dispatch_core.vocabulary.errors import FieldProblem
from dispatch_core.vocabulary.jobs import Text

Speed = Annotated[float, Bound(1e-9, 1e9)]
Speeds = Annotated[Mapping[str, Speed], Length(0, 500)]
Share = Annotated[float, Bound(0, 1)]
Span = tuple[Annotated[float, Bound(0, 366 * 86_400)], ...]
ENGINES_MAX = 10_000


@frozen(kw_only=True)
class EngineType:
    """``count`` equal engines. Raises InvalidCommandError if a value is out of its bounds.

    ``speeds`` are true units per second by task class; a class that is not named cannot run here. ``reported``
    is what the engines' benchmarks say (None: the truth; empty: they report none). A run takes
    units / speed × exp(normal(0, ``noise_sigma``)), and with the chance ``straggler_rate`` a factor from
    ``straggler_factor`` more; with the chance ``fail_rate`` it fails on its way. An engine crashes every
    ``crash_every_s`` on average (exponentially), is away for some span within ``down_s``, and comes back.
    It joins at ``joins_at_s``; from ``leaves_at_s`` on it takes no more work, and leaves when it has none.
    """

    name: Annotated[str, Length(1, 90), NAME]
    speeds: Speeds
    count: Annotated[int, Bound(1, ENGINES_MAX)] = 1
    slots: Annotated[int, Bound(1, 1_000)] = 1
    reported: Speeds | None = None
    facts: Facts = field(factory=dict)
    kinds: Annotated[tuple[Text, ...], Length(1, 32)] = (SIMULATED.name,)
    crash_every_s: Annotated[float, Bound(1, 1e9)] | None = None
    down_s: Span = (120.0, 600.0)
    straggler_rate: Share = 0.0
    straggler_factor: Span = (3.0, 8.0)
    noise_sigma: Annotated[float, Bound(0, 5)] = 0.0
    fail_rate: Share = 0.0
    joins_at_s: Moment = 0.0
    leaves_at_s: Moment | None = None

    def __attrs_post_init__(self) -> None:
        refuse([*problems_of(self), *self._crooked()])

    def _crooked(self) -> Iterator[FieldProblem]:
        for name in ("down_s", "straggler_factor"):
            span = getattr(self, name)
            if not isinstance(span, tuple) or len(span) != 2 or not span[0] <= span[1]:
                yield FieldProblem(f"/{name}", "must be two numbers, the smaller one first")
        if self.leaves_at_s is not None and self.leaves_at_s <= self.joins_at_s:
            yield FieldProblem("/leaves_at_s", "must be after joins_at_s")

    def engine_names(self) -> tuple[str, ...]:
        """The names of its engines: ``name-1`` and so on.

        >>> EngineType(name="cpu", speeds={"h264": 1.0}, count=2).engine_names()
        ('cpu-1', 'cpu-2')
        """
        return tuple(f"{self.name}-{number}" for number in range(1, self.count + 1))

    def profile(self) -> Profile:
        """What each of them registers with."""
        reported = self.speeds if self.reported is None else self.reported
        return Profile(
            kinds=self.kinds,
            slots=self.slots,
            facts={**self.facts, "task_class": tuple(sorted(self.speeds))},
            benchmarks=tuple(
                Benchmark(task_class=each, units_per_s=float(reported[each])) for each in sorted(reported)
            ),
        )


@frozen
class FleetPlan:
    """All engines of a simulation. Raises InvalidCommandError if two would have one name."""

    types: tuple[EngineType, ...]

    def __attrs_post_init__(self) -> None:
        names: list[str] = []
        for each in self.types:
            names += each.engine_names()
        twice = (
            sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        )
        refuse(FieldProblem("/types", f"two engines would be called {name}") for name in twice)
        if len(names) > ENGINES_MAX:
            refuse([FieldProblem("/types", f"must have at most {ENGINES_MAX} engines in all")])

    def engines(self) -> Iterator[tuple[str, EngineType]]:
        """Every engine's name, and its type."""
        return ((name, each) for each in self.types for name in each.engine_names())

    @property
    def slots(self) -> int:
        """How many jobs all engines together can run at a time."""
        return sum(each.count * each.slots for each in self.types)
