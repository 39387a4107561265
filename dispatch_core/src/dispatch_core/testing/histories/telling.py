"""Of a history without a true order: the smallest part that has none either, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from dispatch_core.testing.histories.life import Allowance
from dispatch_core.testing.histories.operations import Act, Ending, Operation
from dispatch_core.testing.histories.search import Answer, find_order

Judge = Callable[[Sequence[Operation]], Answer]
_EFFECTLESS = frozenset({Act.LOOK})


def smallest_part(
    operations: Sequence[Operation], allowance: Allowance, unseen_us: Sequence[int], steps_max: int
) -> tuple[list[Operation], Answer]:
    """The operations whose answers contradict each other, others without theirs; and how far all that was heard led."""

    def judge(part: Sequence[Operation]) -> Answer:
        return find_order(part, allowance, unseen_us, steps_max)

    part = _shortest_beginning(operations, judge)
    furthest = judge(part)
    for each in sorted(part, key=lambda one: -one.begun_us):
        without = _without(part, each)
        if judge(without).possible is False:
            part = without
    return part, furthest


def _shortest_beginning(operations: Sequence[Operation], judge: Judge) -> list[Operation]:
    """What was known at the first instant at which no true order was left."""
    ends = sorted({each.ended_us for each in operations if each.ended_us is not None})
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if judge(_known_by(operations, ends[middle])).possible is False:
            high = middle
        else:
            low = middle + 1
    return _known_by(operations, ends[high])


def _known_by(operations: Sequence[Operation], instant_us: int) -> list[Operation]:
    begun = [each for each in operations if each.begun_us <= instant_us]
    late = [each for each in begun if each.ended_us is not None and each.ended_us > instant_us]
    return [
        _unanswered(each) if each in late else each for each in begun if each not in late or _has_effect(each)
    ]


def _without(part: Sequence[Operation], one: Operation) -> list[Operation]:
    """The part if nobody had heard what became of one: weaker, so what still contradicts itself needs it not."""
    if not one.known:
        return list(part)
    if _has_effect(one):
        return [_unanswered(each) if each is one else each for each in part]
    return [each for each in part if each is not one]


def _has_effect(operation: Operation) -> bool:
    return operation.ending is not Ending.REFUSED and operation.act not in _EFFECTLESS


def _unanswered(operation: Operation) -> Operation:
    return attrs.evolve(operation, ending=Ending.UNKNOWN, ended_us=None, answer={})


def told(operations: Sequence[Operation], part: Sequence[Operation], furthest: Answer, start_us: int) -> str:
    """The part in words: who asked what when, what they heard, and why it cannot be."""
    tokens = {each.token for each in part if each.known and each.token}
    needed = {(each.begun_us, each.process, each.act) for each in part if each.known}
    lines = [
        f"  {_span(each, start_us)}  {each}"
        for each in operations
        if (each.begun_us, each.process, each.act) in needed
        or (each.act is Act.CLAIM and each.token in tokens)
    ]
    where = " or ".join(dict.fromkeys(str(life) for life in furthest.lives))
    if furthest.stuck is not None:
        lines.append(
            f"  in whichever order, the job comes to be {where}; then “{furthest.stuck}” cannot be true"
        )
    return "\n".join(lines)


def _span(operation: Operation, start_us: int) -> str:
    begun = f"{(operation.begun_us - start_us) / 1e6:.6f}"
    ended = "?" if operation.ended_us is None else f"{(operation.ended_us - start_us) / 1e6:.6f}"
    return f"{begun} to {ended} s"
