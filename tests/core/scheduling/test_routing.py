"""The best offer, reckoned in one pass, is the least of all offers told one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatch_core import Route
from dispatch_core.kernel.scheduling.levels import LEVELS
from dispatch_core.kernel.scheduling.routing import Offer, Queue, Routes, least

WEIGHTS = (4.0, None, 0.0)
"""None: where it ends first. Of weight 0 nothing counts where nothing is queued: all are equal."""


@st.composite
def offers(draw: st.DrawFn) -> Routes:
    """A few groups, several of one speed, with something queued."""
    by_rate: dict[float, list[Offer]] = {}
    for number in draw(st.permutations(range(draw(st.integers(0, 6))))):
        queue = Queue()
        for level, length, weight in draw(
            st.lists(
                st.tuples(st.integers(0, LEVELS - 1), st.integers(1, 10**9), st.integers(1, 64)), max_size=4
            )
        ):
            queue.add(level, length, weight)
        rate = draw(st.sampled_from([1e5, 1e6]))
        slots, running_us = draw(st.integers(1, 3)), draw(st.sampled_from([0.0, 5e6]))
        by_rate.setdefault(rate, []).append((f"e{number}", slots, running_us, queue))
    barred = draw(st.sampled_from([None, lambda group: group < "e2"]))
    return Routes(
        tuple(by_rate.items()), draw(st.floats(0.1, 1e4)), draw(st.sampled_from([0.0625, 1.0, 256.0])), barred
    )


@given(offers())
def test_the_least_is_the_least_of_all_and_the_first_by_name_of_equals(routes: Routes) -> None:
    """Whatever the job weighs; nothing where there is none, or all are barred."""
    told = list(routes)
    assert [each.group for each in told] == sorted(each.group for each in told)
    for weight in WEIGHTS:

        def price(each: Route, weight: float | None = weight) -> tuple[float, str]:
            if weight is None:
                return (each.backlog_us + each.here_us, each.group)
            return (weight * (each.wait_us + each.here_us) + each.here_us * each.behind, each.group)

        expected = min(told, key=price, default=None)
        assert routes.least(weight) == expected
        assert least(told, weight) == expected
