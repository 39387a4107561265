"""What people see of a simulation: a table, and a page that is whole by itself and believes no name."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from dispatch_core import FifoPolicy
from dispatch_core.simulation import (
    MEASURES,
    FleetPlan,
    Outcome,
    Work,
    Workload,
    html_report,
    measures,
    simulate,
    text_report,
)
from tests.simulation.fleets import calm, stormy

EVIL = "<script>alert('&\"')</script>"


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """Two policies, with names that are no names."""
    works = [
        Work(number, "h264", 20, priority=number % 3, account="ann" * (number % 2), name=EVIL) for number in range(9)
    ]  # fmt: skip
    load = Workload(tuple(works))
    return [simulate(stormy(), load), simulate(stormy(), load, policy=FifoPolicy())]


class Tags(HTMLParser):
    """Every tag, and every attribute that could lead elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [each for each in attrs if each[0] in ("src", "href", "xlink:href", "action", "data")]


def test_a_page_needs_nothing_and_runs_nothing(outcomes: list[Outcome]) -> None:
    """No script, no link, no import: it may be kept and mailed, whatever the works are called."""
    page = html_report(outcomes, title=EVIL)
    seen = Tags()
    seen.feed(page)
    assert seen.tags <= {"html", "head", "meta", "title", "style", "body", "h1", "h2", "table", "tr", "th", "td",
                         "div", "p", "span", "svg", "rect", "text", "path"}  # fmt: skip
    assert seen.links == []
    assert "url(" not in page
    assert "@import" not in page
    assert EVIL not in page


def test_plots_are_well_formed(outcomes: list[Outcome]) -> None:
    """Every plot is XML: three of bars, and one of what ran where for each policy, with a box for every run."""
    plots = re.findall(r"<svg.*?</svg>", html_report(outcomes), re.DOTALL)
    assert len(plots) == 5
    drawn = [ET.fromstring(each) for each in plots]
    boxes = [each for each in drawn[3].iter("rect") if each.get("class") != "back"]
    assert len(boxes) == len(outcomes[0].runs)


def test_the_table_stands_side_by_side(outcomes: list[Outcome]) -> None:
    """A line per measure, a column per policy, and the seed that gives it again."""
    first, *lines = text_report(outcomes).splitlines()
    assert first.split() == ["default", "fifo"]
    assert len(lines) == len(MEASURES) + 2
    assert lines[0].split() == ["works", "9", "9"]
    assert lines[-1].startswith("seed 0; digest default ")
    assert list(measures(outcomes[0])) == [each.name for each in MEASURES]


def test_reports_repeat(outcomes: list[Outcome]) -> None:
    """Byte by byte."""
    again = [simulate(stormy(), Workload(tuple(each.work for each in outcomes[0].works)))]
    assert html_report(again) == html_report(outcomes[:1])


def test_nothing_has_a_report_too() -> None:
    """No works, no engines, or neither."""
    for fleet, works in ((calm(), ()), (FleetPlan(()), (Work(0, "h264", 1),)), (FleetPlan(()), ())):
        outcome = simulate(fleet, Workload(works))
        assert "–" in text_report([outcome])
        assert "Nothing ran" in html_report([outcome])
