"""The search for an order of one job's operations that could be true (after Wing and Gong, and Lowe).

An order is true if each operation takes effect at some instant between its beginning and its end, and the answers are
those of the sequential specification in that order. What is remembered is the set of operations placed so far
together with the life they lead to: each such pair is looked at once, so the work is bounded, and told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import define, field, frozen

from dispatch_core.testing.histories.life import Allowance, Life, follow, grant_unseen, pass_time
from dispatch_core.testing.histories.operations import Operation

Node = tuple[int, Life]
_NEVER = 2**63


@frozen
class Answer:
    """``possible`` is None if the search gave up. ``lives`` are where it came furthest, ``stuck`` what could not follow."""

    possible: bool | None
    steps: int
    lives: tuple[Life, ...] = ()
    stuck: Operation | None = None


def find_order(
    operations: Sequence[Operation],
    allowance: Allowance,
    unseen_us: Sequence[int] = (),
    steps_max: int = 100_000,
) -> Answer:
    """Whether the operations of one job have an order that could be true, looking at no more than ``steps_max`` nodes.

    ``unseen_us`` are the instants from which a claim without an answer may have been granted any job.
    """
    return _Search(tuple(operations), allowance, sorted(unseen_us), steps_max).run()


@define
class _Search:
    operations: tuple[Operation, ...]
    allowance: Allowance
    unseen_us: list[int]
    steps_max: int
    _known: int = field(init=False, default=0)
    _furthest: int = field(init=False, default=-1)
    _lives: dict[Life, None] = field(init=False, factory=dict)
    _placed: int = field(init=False, default=0)

    def run(self) -> Answer:
        self._known = sum(1 << place for place, each in enumerate(self.operations) if each.known)
        start: Node = (0, Life())
        stack, seen = [start], {start}
        while stack:
            placed, life = stack.pop()
            if placed & self._known == self._known:
                return Answer(True, len(seen))
            if len(seen) > self.steps_max:
                return Answer(None, len(seen))
            self._came_to(placed, life)
            for node in self._after(placed, life):
                if node not in seen:
                    seen.add(node)
                    stack.append(node)
        return Answer(False, len(seen), tuple(self._lives)[:3], self._stuck())

    def _came_to(self, placed: int, life: Life) -> None:
        far = (placed & self._known).bit_count()
        if far > self._furthest:
            self._furthest, self._placed, self._lives = far, placed, {}
        if far == self._furthest:
            self._lives[life] = None

    def _stuck(self) -> Operation | None:
        left = [
            each for place, each in enumerate(self.operations) if each.known and not self._placed >> place & 1
        ]
        return min(left, key=_end_of, default=None)

    def _after(self, placed: int, life: Life) -> list[Node]:
        """The nodes that may come next, those to try first last."""
        left = [place for place in range(len(self.operations)) if not placed >> place & 1]
        horizon = min(_end_of(self.operations[place]) for place in left)
        nodes = [(placed, each) for each in self._by_itself(life, horizon)]
        twins: set[tuple[object, ...]] = set()
        for place in left:
            operation = self.operations[place]
            if operation.begun_us > horizon:
                break
            if not operation.known and (twin := _twin(operation)) in twins:
                continue  # of equal ones without an answer the first may stand for any
            if not operation.known:
                twins.add(twin)
            for life_after in follow(life, operation, self.allowance):
                if life_after != life:
                    nodes.append((placed | 1 << place, life_after))
                elif (
                    operation.known
                ):  # it tells the truth here and changes nothing: no order gains by waiting
                    return [(placed | 1 << place, life)]
        return nodes

    def _by_itself(self, life: Life, horizon: int) -> Iterator[Life]:
        yield from pass_time(life, self.allowance)
        if life.unseen < len(self.unseen_us) and self.unseen_us[life.unseen] <= horizon:
            yield from grant_unseen(life, self.allowance)


def _end_of(operation: Operation) -> int:
    return _NEVER if operation.ended_us is None else operation.ended_us


def _twin(operation: Operation) -> tuple[object, ...]:
    return (
        operation.act,
        operation.token,
        operation.engine_id,
        operation.key,
        operation.value,
        operation.retryable,
    )
