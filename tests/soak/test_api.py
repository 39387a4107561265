"""The API at length: many requests made from its description, and never a 5xx or an undocumented status."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.http.openapi.exploring import PHASES, Findings, explore
from tests.http.openapi.test_exploration import KEY, LIFE, server

CASES = int(os.environ.get("DISPATCH_SOAK_CASES", "20000"))
EXAMPLES = 60


@pytest.mark.soak
@pytest.mark.checklist(90)
def test_no_request_gets_an_answer_that_is_not_described() -> None:
    """Rounds of all phases, each with another seed and a fresh store, until there were enough cases."""
    total, seed = Findings(), 0
    while total.cases < CASES:
        seed += 1
        with server() as app:
            found = explore(app, KEY, examples=EXAMPLES, phases=PHASES, seed=seed)
        total.statuses.update(found.statuses)
        total.failures.extend(found.failures)
    _tell(total, seed)
    assert total.failures == []
    assert total.succeeded() >= LIFE


def _tell(total: Findings, rounds: int) -> None:
    by_status = Counter[int]()
    for (_, status), count in total.statuses.items():
        by_status[status] += count
    counts = ", ".join(f"{count:,} × {status}" for status, count in sorted(by_status.items()))
    done = len(total.succeeded())
    print(f"\n{total.cases:,} cases in {rounds} rounds: {counts}; {done} operations succeeded, "
          f"{len(total.failures)} failures")  # fmt: skip
