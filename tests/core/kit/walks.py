"""Histories to try the checker with: legal walks of its specification, and a slow judge that forgets nothing."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from hypothesis import strategies as st

from dispatch_core.testing.histories import Act, Allowance, Ending, Operation
from dispatch_core.testing.histories.life import JUDGED, Life, Phase, follow, grant_unseen, pass_time

SMALL = Allowance(attempts_max=2, give_backs_max=1)
STATES = {
    Phase.WAITING: "pending", Phase.RUNNING: "assigned", Phase.STOPPING: "assigned", Phase.BACK_OFF: "failed_retry",
    Phase.LATE: "failed_retry", Phase.COMPLETED: "completed", Phase.FAILED: "failed_permanently", Phase.CANCELLED: "cancelled",
}  # fmt: skip
ENGINES = ("e1", "e2")


@st.composite
def walks(draw: st.DrawFn, most: int = 12) -> tuple[list[Operation], list[int]]:
    """A history of one job that is true by the way it is made, and the instants of claims that nobody heard of.

    Operations take effect one after the other; each began up to a few steps before and ended up to a few after that.
    """
    life = Life()
    history: list[Operation] = []
    unseen: list[int] = []
    for step in range(draw(st.integers(1, most))):
        at_us = 100 * (step + 1)
        life = draw(st.sampled_from([life, life, *pass_time(life, SMALL)]))
        if draw(st.integers(0, 9)) == 0 and (hidden := list(grant_unseen(life, SMALL))):
            life = hidden[0]
            unseen.append(at_us - draw(st.integers(0, 300)))
            continue
        asked = _question(draw, life, step, first=not history)
        heard = _answers(asked, life)
        operation, life = (
            draw(st.sampled_from(heard)) if heard else (attrs.evolve(asked, ending=Ending.UNKNOWN), life)
        )
        begun_us, ended_us = at_us - draw(st.integers(0, 250)), at_us + draw(st.integers(1, 250))
        operation = attrs.evolve(operation, begun_us=begun_us, ended_us=ended_us)
        history.append(operation if operation.known and draw(st.integers(0, 7)) else unanswered(operation))
    return sorted(history, key=lambda each: each.begun_us), unseen


def unanswered(operation: Operation) -> Operation:
    """The operation, if nobody had heard what became of it."""
    return attrs.evolve(operation, ending=Ending.UNKNOWN, ended_us=None, answer={}, code=None)


def _question(draw: st.DrawFn, life: Life, step: int, *, first: bool) -> Operation:
    act = Act.SUBMIT if first else draw(st.sampled_from([each for each in Act if each is not Act.SUBMIT]))
    number = len(life.tries) + 1 if act is Act.CLAIM else draw(st.integers(1, max(len(life.tries), 1)))
    holders = [tried.engine_id for tried in life.tries]
    engine = (
        holders[number - 1]
        if number <= len(holders) and draw(st.integers(0, 5))
        else draw(st.sampled_from(ENGINES))
    )
    named = act in (Act.CLAIM, Act.RENEW, Act.PROGRESS, Act.COMPLETE, Act.FAIL, Act.GIVE_BACK)
    return Operation(
        process=f"p{step}",
        act=act,
        ending=Ending.DONE,
        begun_us=0,
        job_id="job-1",
        token=f"x.{number}" if named else None,
        engine_id=engine or "e1" if named else None,
        value=f"result {step}" if act is Act.COMPLETE else None,
    )


def _answers(asked: Operation, life: Life) -> list[tuple[Operation, Life]]:
    """Every true answer, with the life it leads to."""
    plain = [(asked, after) for after in follow(life, asked, SMALL)]
    told = [(attrs.evolve(asked, answer=_told(asked, after)), after) for _, after in plain]
    refusals = [attrs.evolve(asked, ending=Ending.REFUSED, code=code) for code in sorted(JUDGED)]
    return [
        *told,
        *(
            (each, life)
            for each in refusals
            if asked.act is not Act.CLAIM and list(follow(life, each, SMALL))
        ),
    ]


def _told(asked: Operation, life: Life) -> dict[str, object]:
    if asked.act in (Act.RENEW, Act.PROGRESS):
        return {"cancel": life.phase is Phase.STOPPING}
    if asked.act in (Act.COMPLETE, Act.FAIL, Act.GIVE_BACK):
        return {"outcome": "completed"} if asked.act is Act.COMPLETE else {}
    told = {
        "state": STATES[life.phase],
        "generation": life.generation,
        "attempts_used": life.used,
        "live_attempt": life.live or None,
    }
    return told if life.result is None else told | {"result": life.result}


def every_order(
    operations: Sequence[Operation],
    unseen_us: Sequence[int],
    allowance: Allowance = SMALL,
    life: Life | None = None,
) -> bool:
    """Whether any order is true, by trying all: no memory, no cuts."""
    life = life or Life()
    if not any(each.known for each in operations):
        return True
    horizon = min(each.ended_us for each in operations if each.ended_us is not None)
    lives = list(pass_time(life, allowance))
    if life.unseen < len(unseen_us) and sorted(unseen_us)[life.unseen] <= horizon:
        lives += grant_unseen(life, allowance)
    nexts = [(list(operations), each) for each in lives]
    for place, each in enumerate(operations):
        if each.begun_us <= horizon:
            rest = [*operations[:place], *operations[place + 1 :]]
            nexts += [(rest, after) for after in follow(life, each, allowance)]
    return any(every_order(rest, unseen_us, allowance, after) for rest, after in nexts)
