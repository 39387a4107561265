"""Total accounting: what was acknowledged, what is there, and whether the two agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import attrs
from attrs import frozen

from dispatch_core.testing.histories.attribution import Attributed, by_key, made_by
from dispatch_core.testing.histories.operations import Act, Ending, Operation

_FOREVER = 2**63


@frozen(kw_only=True)
class Accounts:
    """Ids of jobs by what is to be said of them; ``origins`` are the submits that recovered ones must come from."""

    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    unexpected: tuple[str, ...]
    origins: Mapping[str, Operation]
    grants_missing: int


def balance(history: Sequence[Operation], known: Attributed, stored: Collection[str] | None) -> Accounts:
    """Compare what was acknowledged, what was seen and what is stored."""
    submitted = [each for each in known.calls if each.act is Act.SUBMIT and each.ending is Ending.DONE]
    acknowledged = {each.job_id for each in submitted if each.job_id is not None}
    seen = _first_seen(known.calls) | {each: _FOREVER for each in stored or () if each not in acknowledged}
    strangers = {job_id: at_us for job_id, at_us in seen.items() if job_id not in acknowledged}
    origins = _origins(strangers, known.lost_submits)
    return Accounts(
        lost=() if stored is None else tuple(sorted(acknowledged - set(stored))),
        duplicated=tuple(sorted(_made_twice(history) | _given_twice(known.calls))),
        unexpected=tuple(sorted(strangers.keys() - origins.keys())),
        origins=origins,
        grants_missing=_grants_never_told(known.calls),
    )


def _first_seen(calls: Sequence[Operation]) -> dict[str, int]:
    """When each job was first heard of. A refusal tells nothing: who asks for a job that is not there is refused too."""
    seen: dict[str, int] = {}
    for each in calls:
        if each.job_id is not None and each.ended_us is not None and each.ending is Ending.DONE:
            seen[each.job_id] = min(seen.get(each.job_id, _FOREVER), each.ended_us)
    return seen


def _origins(strangers: Mapping[str, int], lost_submits: Sequence[Operation]) -> dict[str, Operation]:
    """A submit without an answer for each stranger, begun before it was seen: as many as there can be."""
    left = sorted(lost_submits, key=lambda each: -each.begun_us)
    origins: dict[str, Operation] = {}
    for job_id, seen_us in sorted(strangers.items(), key=lambda item: (item[1], item[0])):
        if left and left[-1].begun_us <= seen_us:
            origins[job_id] = attrs.evolve(left.pop(), job_id=job_id, key=None)
    return origins


def _made_twice(history: Sequence[Operation]) -> set[str]:
    made = (made_by(group) for group in by_key(history).values())
    return {job_id for jobs in made if len(jobs) > 1 for job_id in jobs}


def _given_twice(calls: Sequence[Operation]) -> set[str]:
    """Jobs of which one token was given to two claims. The tries of one key are one claim."""
    givers: dict[tuple[str | None, str | None], set[object]] = defaultdict(set)
    for place, each in enumerate(calls):
        if each.act is Act.CLAIM and each.known:
            givers[each.job_id, each.token].add((each.engine_id, each.key or place))
    return {job_id for (job_id, _), those in givers.items() if job_id is not None and len(those) > 1}


def _grants_never_told(calls: Sequence[Operation]) -> int:
    """How many grants there must have been that nobody was told of: gaps in the numbers of the tokens."""
    numbers: dict[str | None, set[int]] = defaultdict(set)
    for each in calls:
        if each.act is Act.CLAIM and each.number is not None:
            numbers[each.job_id].add(each.number)
    return sum(max(those) - len(those) for those in numbers.values())
