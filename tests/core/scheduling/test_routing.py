"""The best offer, reckoned in one pass, is the least of all offers told one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatch_core import Route
from dispatch_core.kernel.scheduling.levels import LEVELS
from dispatch_core.kernel.scheduling.routing import Offer, Queue, Routes, least

COSTS = (
    lambda here, wait, behind, _: 4.0 * (wait + here) + here * behind,
    lambda here, _wait, _behind, backlog: backlog + here,
    lambda *_: 1.0,
)


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
    """Whatever a route costs; nothing where there is none, or all are barred."""
    told = list(routes)
    assert [each.group for each in told] == sorted(each.group for each in told)
    for cost in COSTS:

        def price(each: Route, cost: object = cost) -> tuple[float, str]:
            return (cost(each.here_us, each.wait_us, each.behind, each.backlog_us), each.group)  # type: ignore[operator]

        expected = min(told, key=price, default=None)
        assert routes.least(cost) == expected
        assert least(told, cost) == expected
