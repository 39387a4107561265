"""The search of the history checker: it accepts what is true, and finds an order exactly if there is one."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core.testing.histories import Act, Allowance, Ending, Operation
from dispatch_core.testing.histories.search import find_order
from dispatch_core.testing.histories.telling import smallest_part
from tests.core.kit.walks import SMALL, every_order, walks

Walk = tuple[list[Operation], list[int]]


@given(walk=walks(most=25))
def test_a_legal_walk_is_accepted(walk: Walk) -> None:
    """Whatever the specification does, told with any delays and with answers left out, is found to be true."""
    history, unseen = walk
    assert find_order(history, SMALL, unseen).possible


@settings(max_examples=150)
@given(walk=walks(most=6), data=st.data())
def test_a_swapped_answer_is_judged_as_trying_every_order_does(walk: Walk, data: st.DataObject) -> None:
    """A history with a changed answer is refused, unless there is an order in which the change is true as well."""
    history, unseen = walk
    one = data.draw(st.sampled_from(history))
    changed = data.draw(st.sampled_from([*_changes(one), one]))
    history = [changed if each is one else each for each in history]
    assert find_order(history, SMALL, unseen).possible is every_order(history, unseen)


def _changes(one: Operation) -> list[Operation]:
    refused = [attrs.evolve(one, ending=Ending.REFUSED, answer={}, code=code, ended_us=one.begun_us + 300)
               for code in ("lease-lost", "wrong-state", "unknown-job")]  # fmt: skip
    done = attrs.evolve(one, ending=Ending.DONE, code=None, answer={}, ended_us=one.begun_us + 300)
    other = {"e1": "e2", "e2": "e1"}.get(one.engine_id or "")
    elsewhere = [attrs.evolve(one, engine_id=other)] if other else []
    later = [attrs.evolve(one, token="x.2" if one.token == "x.1" else "x.1")] if one.token else []
    states = [attrs.evolve(one, answer={**one.answer, "state": state}) for state in ("completed", "pending")]
    return [*refused, done, *elsewhere, *later, *(states if "state" in one.answer else [])]


@settings(max_examples=60)
@given(walk=walks(most=8), data=st.data())
def test_the_smallest_part_is_false_as_well(walk: Walk, data: st.DataObject) -> None:
    """What is told of a false history is false by itself, and no answer in it can be left out."""
    history, unseen = walk
    one = data.draw(st.sampled_from(history))
    changed = data.draw(st.sampled_from(_changes(one)))
    history = [changed if each is one else each for each in history]
    if find_order(history, SMALL, unseen).possible:
        return
    part, answer = smallest_part(history, SMALL, unseen, 10_000)
    assert answer.possible is False
    assert answer.stuck is not None
    heard = [each for each in part if each.known]
    assert 0 < len(heard) <= sum(each.known for each in history)


def test_too_much_work_is_told_as_such() -> None:
    """A search that would take more steps than it may says that it does not know."""
    claims = [Operation(process=f"e{n}", act=Act.CLAIM, ending=Ending.UNKNOWN, begun_us=n, engine_id=f"e{n}",
                        job_id="job-1", token=f"x.{n}") for n in range(1, 9)]  # fmt: skip
    submit = Operation(
        process="c", act=Act.SUBMIT, ending=Ending.DONE, begun_us=0, ended_us=1, job_id="job-1"
    )
    look = Operation(process="c", act=Act.LOOK, ending=Ending.REFUSED, begun_us=90, ended_us=99, job_id="job-1",
                     code="unknown-job")  # fmt: skip
    history = [submit, *claims, look]
    assert find_order(history, Allowance(attempts_max=9), steps_max=10).possible is None
    assert find_order(history, Allowance(attempts_max=9)).possible is False
