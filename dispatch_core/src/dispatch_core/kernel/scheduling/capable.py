"""Who in service may run a class, and how fast: followed engine by engine, so that one that comes or goes costs no look
at the fleet. Sums are exact integers: the order in which engines came does not show in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from heapq import heapify, heappop, heappush

from attrs import define, field

MOVED_MAX = 64
"""Of so many engines at most it is noted one by one that they have another rate."""
_FRACTION_BITS = 1_074
"""The least float above zero is 2^−1074: in so many bits behind the point every float is a whole number."""


def _whole(rate: float) -> int:
    above, below = rate.as_integer_ratio()
    return above << (_FRACTION_BITS + 1 - below.bit_length())


@define
class _Mean:
    """The rates of a group: their exact sum and number, and the mean once it was asked for."""

    total: int = 0
    count: int = 0
    mean: float | None = None

    def add(self, whole: int, many: int) -> None:
        self.total += many * whole
        self.count += many
        self.mean = None

    def value(self) -> float:
        if self.mean is None:
            self.mean = self.total / (self.count << _FRACTION_BITS)
        return self.mean


@define
class Capable:
    """µs per unit by engine, by group, and on the best of them. ``at``, ``stale`` and ``moved`` are for whoever keeps it
    current: up to which change of the fleet it follows, whether all rates have moved since, and whose have.
    """

    at: int
    task_class: str
    stale: bool = False
    moved: dict[str, None] = field(factory=dict)
    edition: int = 0
    """Odd while it is being changed; for ``copy``, which happens beside the one who changes it."""
    engines: dict[str, float] = field(factory=dict)
    _groups: dict[str, str] = field(factory=dict)
    _means: dict[str, _Mean] = field(factory=dict)
    _counts: dict[float, int] = field(factory=dict)
    _least: list[float] = field(factory=list)
    _by_group: tuple[bool, dict[str, float]] | None = None

    def put(self, engine_id: str, group: str, rate: float | None) -> None:
        """What an engine is now; None: it may not run the class, or is not in service."""
        before = self.engines.get(engine_id)
        if before == rate and (rate is None or self._groups[engine_id] == group):
            return
        self._by_group = None
        if before is not None:
            self._drop(before, self._groups.pop(engine_id))
            del self.engines[engine_id]
        if rate is not None:
            self.engines[engine_id], self._groups[engine_id] = rate, group
            self._means.setdefault(group, _Mean()).add(_whole(rate), 1)
            many = self._counts.get(rate, 0)
            self._counts[rate] = many + 1
            if not many:
                heappush(self._least, rate)

    def rate_moved(self, engine_id: str) -> None:
        """Note that an engine has another rate; where many have, all are looked at."""
        if self.stale or engine_id not in self.engines:
            return
        self.moved[engine_id] = None
        self.stale = len(self.moved) > MOVED_MAX

    def move(self, rate_of: Callable[[str], float]) -> None:
        """Take over the rates that have moved."""
        with self.changing():
            for engine_id in self.moved:
                if engine_id in self.engines:
                    self.put(engine_id, self._groups[engine_id], rate_of(engine_id))
            self.moved.clear()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody takes what he copies meanwhile for whole."""
        self.edition += 1
        try:
            yield
        finally:
            self.edition += 1

    def _drop(self, rate: float, group: str) -> None:
        mean = self._means[group]
        mean.add(_whole(rate), -1)
        if not mean.count:
            del self._means[group]
        if self._counts[rate] > 1:
            self._counts[rate] -= 1
        else:
            del self._counts[rate]

    @property
    def best(self) -> float | None:
        """The least µs per unit; None if there is nobody."""
        least = self._least
        while least and least[0] not in self._counts:
            heappop(least)
        if len(least) > 2 * len(self._counts) + 64:
            self._least = least = list(self._counts)
            heapify(least)
        return least[0] if least else None

    def count(self, group: str) -> int:
        """How many of a group may run it."""
        mean = self._means.get(group)
        return 0 if mean is None else mean.count

    def by_group(self, *, shared: bool) -> Mapping[str, float]:
        """µs per unit by group: the mean of its engines, or, where none is shared, each engine for itself."""
        found = self._by_group
        if found is None or found[0] is not shared:
            rates = {name: each.value() for name, each in self._means.items()} if shared else self.engines
            found = self._by_group = (shared, dict(sorted(rates.items())))
        return found[1]

    def at_rates(self, rate_of: Callable[[str], float]) -> Capable:
        """The same engines at the rates of now, as another: copies of this one may be under way."""
        rates = {engine_id: rate_of(engine_id) for engine_id in self.engines}
        counts = Counter(rates.values())
        means: dict[str, _Mean] = {}
        for (group, rate), many in Counter(
            (self._groups[name], rate) for name, rate in rates.items()
        ).items():
            means.setdefault(group, _Mean()).add(_whole(rate), many)
        least = sorted(counts)
        return Capable(
            at=self.at,
            task_class=self.task_class,
            engines=rates,
            groups=self._groups.copy(),
            means=means,
            counts=dict(counts),
            least=least,
        )

    def copy(self) -> Capable | None:
        """The same for another; None if it changed meanwhile, for its owner may go on."""
        at, edition = self.at, self.edition
        parts = self.engines.copy(), self._groups.copy(), self._counts.copy(), self._least.copy()
        means = {name: _Mean(each.total, each.count) for name, each in self._means.copy().items()}
        if edition % 2 or (self.at, self.edition) != (at, edition) or self.stale or self.moved:
            return None
        engines, groups, counts, least = parts
        return Capable(
            at=at,
            task_class=self.task_class,
            engines=engines,
            groups=groups,
            means=means,
            counts=counts,
            least=least,
        )
