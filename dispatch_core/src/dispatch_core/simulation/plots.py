"""Plots as inline SVG: bars side by side, and what ran where. Every name is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from attrs import frozen

from dispatch_core.simulation.outcome import Outcome, RunOutcome

COLOURS = ("#3b7dd8", "#e08a1e", "#3a9d5d", "#b5489b", "#8a6d3b", "#5b5fc7")
WIDTH, LEFT, RIGHT = 1_000, 190, 190
BARS_MAX = 200
RUNS_MAX = 20_000
LANES_MAX = 400
_ROW, _BAR = 18, 13


@frozen
class Bar:
    """One bar: its label, its series (a policy) and that one's number, its value, and how far its whisker goes."""

    label: str
    series: str
    number: int
    value: float
    whisker: float | None = None


def bars(data: Sequence[Bar], unit: str) -> str:
    """Bars in groups by label, one per series; a thin line goes on to the 95th percentile."""
    labels = list(dict.fromkeys(each.label for each in data))[:BARS_MAX]
    rows = [each for label in labels for each in data if each.label == label]
    if not rows:
        return "<p>Nothing to show.</p>"
    top = max(max(each.value, each.whisker or 0.0) for each in rows) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / top
    befores = ["", *(each.label for each in rows[:-1])]
    body = "".join(
        _bar(row, bar, bar.label != before, scale, unit)
        for row, (before, bar) in enumerate(zip(befores, rows, strict=True))
    )
    height = _ROW * len(rows) + 8
    legend = "" if len({each.series for each in rows}) < 2 else _legend(rows)
    return legend + _svg(height, body)


def _bar(row: int, bar: Bar, first: bool, scale: float, unit: str) -> str:
    y = row * _ROW + 4
    label = _text(LEFT - 8, y + 11, _short(bar.label), "end") if first else ""
    end = LEFT + max(bar.value, bar.whisker or 0.0) * scale
    words = f"{bar.value:,.1f} {unit}" + ("" if bar.whisker is None else f" (95 %: {bar.whisker:,.1f})")
    whisker = "" if bar.whisker is None else (
        f'<path class="axis" d="M{LEFT + bar.value * scale:.1f} {y + _BAR / 2:.1f}H{end:.1f}"/>'
    )  # fmt: skip
    box = (
        f'<rect x="{LEFT}" y="{y}" width="{bar.value * scale:.1f}" height="{_BAR}" fill="{colour(bar.number)}">'
        f"<title>{escape(bar.label)}, {escape(bar.series)}: {escape(words)}</title></rect>"
    )
    return label + box + whisker + _text(end + 6, y + 11, words)


def _legend(rows: Sequence[Bar]) -> str:
    series = dict.fromkeys((each.series, each.number) for each in rows)
    spots = "".join(
        f'<span style="color:{colour(number)}">■</span> {escape(name)} &nbsp; ' for name, number in series
    )
    return f"<p>{spots}</p>"


def gantt(outcome: Outcome) -> str:
    """Every slot is a line, every run a box coloured by the priority of its work; crashed and failed ones are hollow."""
    lanes = [(engine.name, slot) for engine in outcome.engines for slot in range(engine.slots)]
    if not lanes or not outcome.runs:
        return "<p>Nothing ran.</p>"
    places = {lane: row for row, lane in enumerate(lanes[:LANES_MAX])}
    scale = (WIDTH - LEFT - 10) / (max(run.until_s for run in outcome.runs) or 1.0)
    runs = [run for run in outcome.runs if (run.engine, run.slot) in places]
    body = "".join(_lane(name, slot, row) for (name, slot), row in places.items())
    body += "".join(_run(outcome, run, places[run.engine, run.slot], scale) for run in runs[:RUNS_MAX])
    notes = "".join(_left_out(len(lanes) - len(places), len(runs) - RUNS_MAX))
    return _priorities(outcome) + _svg(_ROW * len(places) + 8, body) + notes


def _left_out(lanes: int, runs: int) -> Iterator[str]:
    if lanes > 0:
        yield f'<p class="note">{lanes} more slots are not drawn.</p>'
    if runs > 0:
        yield f'<p class="note">{runs} more runs are not drawn.</p>'


def _lane(name: str, slot: int, row: int) -> str:
    y = row * _ROW + 4
    label = _text(LEFT - 8, y + 11, _short(name), "end") if slot == 0 else ""
    return f'{label}<rect class="back" x="{LEFT}" y="{y}" width="{WIDTH - LEFT - 10}" height="{_BAR}"/>'


def _run(outcome: Outcome, run: RunOutcome, row: int, scale: float) -> str:
    work = outcome.works[run.index]
    x, width = LEFT + run.from_s * scale, max((run.until_s - run.from_s) * scale, 0.4)
    ink = colour(work.work.priority)
    hollow = f'fill="none" stroke="{ink}"' if run.ending in ("crashed", "failed", "lost") else f'fill="{ink}"'
    words = (
        f"{work.name}: {work.work.task_class}, priority {work.work.priority}, attempt {run.attempt}, "
        f"{run.from_s:,.1f} s to {run.until_s:,.1f} s, {run.ending}"
    )
    return (
        f'<rect x="{x:.2f}" y="{row * _ROW + 4}" width="{width:.2f}" height="{_BAR}" {hollow}>'
        f"<title>{escape(words)}</title></rect>"
    )


def _priorities(outcome: Outcome) -> str:
    found = sorted({each.work.priority for each in outcome.works})
    spots = "".join(
        f'<span style="color:{colour(priority)}">■</span> priority {priority} &nbsp; '
        for priority in found[:12]
    )
    return f"<p>{spots}</p>"


def colour(number: int) -> str:
    """The colour of a series or a priority."""
    return COLOURS[number % len(COLOURS)]


def _svg(height: int, body: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">{body}</svg>'


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def _short(text: str) -> str:
    return text if len(text) <= 26 else text[:25] + "…"
