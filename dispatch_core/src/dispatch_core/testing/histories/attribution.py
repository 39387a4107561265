"""Which job each operation of a history is about, so that jobs can be judged one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import attrs
from attrs import frozen

from dispatch_core.testing.histories.operations import Act, Ending, Granted, Operation

_REPORTS = (Act.COMPLETE, Act.FAIL, Act.GIVE_BACK)
Groups = Mapping[tuple[Act, str], list[Operation]]


@frozen
class Attributed:
    """``calls`` name their job, a claim once for each lease it was given. Of the others nobody knows which job:

    ``lost_submits`` may have made one each, and each of ``unseen_us`` is an instant from which one grant may have
    been made that nobody was told of.
    """

    calls: tuple[Operation, ...]
    lost_submits: tuple[Operation, ...]
    unseen_us: tuple[int, ...]


def attribute(history: Sequence[Operation]) -> Attributed:
    """Name the job of every operation of which that can be known. Tries under one key are one command."""
    groups = by_key(history)
    calls: list[Operation] = []
    lost_submits: dict[object, Operation] = {}
    unseen: dict[object, Operation] = {}
    for each in history:
        group = [each] if each.key is None else groups[each.act, each.key]
        named = [*_named(each if len(group) > 1 else attrs.evolve(each, key=None), group)]
        calls += named
        if not named and not each.known:
            unclear = lost_submits if each.act is Act.SUBMIT else unseen
            unclear.setdefault(each.key or id(each), each)
    instants = [each.begun_us for each in unseen.values() for _ in range(each.limit)]
    return Attributed(tuple(calls), tuple(lost_submits.values()), tuple(sorted(instants)))


def by_key(history: Sequence[Operation]) -> Groups:
    """The operations that were sent under each key."""
    groups: dict[tuple[Act, str], list[Operation]] = defaultdict(list)
    for each in history:
        if each.key is not None:
            groups[each.act, each.key].append(each)
    return groups


def _named(each: Operation, group: Sequence[Operation]) -> Iterator[Operation]:
    if each.act is Act.CLAIM:
        for lease in each.granted or (() if each.known else granted_of(group)):
            yield attrs.evolve(each, job_id=lease.job_id, token=lease.token, granted=())
    elif each.job_id is not None:
        yield each
    elif not each.known and (made := made_by(group)):
        yield attrs.evolve(each, job_id=made[0])


def granted_of(group: Sequence[Operation]) -> tuple[Granted, ...]:
    """What the tries of one claim were told that they were given."""
    return next((each.granted for each in group if each.granted), ())


def made_by(group: Sequence[Operation]) -> list[str]:
    """The jobs that the tries of one submit were told of."""
    told = (each.job_id for each in group if each.act is Act.SUBMIT and each.ending is Ending.DONE)
    return list(dict.fromkeys(job_id for job_id in told if job_id is not None))


def differing(history: Sequence[Operation]) -> Iterator[tuple[str, Operation, Operation]]:
    """Repeats that were answered otherwise than the first time: which job, and the two."""
    for group in by_key(history).values():
        heard = [each for each in group if each.ending is Ending.DONE and not _nothing(each, group)]
        yield from _unlike(heard)
    reports: dict[object, list[Operation]] = defaultdict(list)
    for each in history:
        if each.act in _REPORTS and each.ending is Ending.DONE:
            reports[each.act, each.job_id, each.token].append(each)
    for group in reports.values():
        yield from _unlike(group)


def _nothing(each: Operation, group: Sequence[Operation]) -> bool:
    """A claim that found nothing is not remembered; once it was given something, it is."""
    given = [other.ended_us for other in group if other.granted and other.ended_us is not None]
    return each.act is Act.CLAIM and not each.granted and not any(end < each.begun_us for end in given)


def _unlike(heard: Sequence[Operation]) -> Iterator[tuple[str, Operation, Operation]]:
    for other in heard[1:]:
        first = heard[0]
        if (first.answer, first.granted, first.job_id) != (other.answer, other.granted, other.job_id):
            yield (
                first.job_id or (granted_of(heard) or (Granted(job_id="", token=""),))[0].job_id,
                first,
                other,
            )
            return
