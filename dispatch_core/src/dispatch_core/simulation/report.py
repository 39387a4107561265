"""What a simulation shows people: a table of measures side by side, and a page with plots that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from dispatch_core.simulation.measures import MEASURES, in_words
from dispatch_core.simulation.outcome import Outcome, quantile
from dispatch_core.simulation.plots import Bar, bars, gantt
from dispatch_core.simulation.whatif import Shift, WhatIf

_STYLE = """
:root { color-scheme: light dark; --line: #8888; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .9rem .2rem 0; text-align: left; }
td + td, th + th { text-align: right; font-variant-numeric: tabular-nums; } tr { border-bottom: 1px solid var(--soft); }
.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.axis { stroke: var(--line); } .back { fill: var(--soft); } p.note { opacity: .75; }
"""


def text_report(outcomes: Sequence[Outcome]) -> str:
    """The measures as a table, one column per outcome; and the seed that gives them again."""
    heads = ["", *(each.policy for each in outcomes)]
    rows = [
        [measure.words, *(in_words(measure.of(each), measure.unit) for each in outcomes)]
        for measure in MEASURES
    ]
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    lines = [
        row[0].ljust(widths[0])
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in [heads, *rows]
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", _seeds(outcomes)])


def what_if_report(found: WhatIf, *, jobs_max: int = 20) -> str:
    """Both futures side by side, and the jobs whose end moves most; instants count from now."""
    moved = [each for each in found.shifts if each.moved_s]
    sooner = [each for each in moved if each.moved_s < 0]
    head = (
        f"{len(found.shifts)} open jobs: {len(sooner)} end sooner, {len(moved) - len(sooner)} later, "
        f"{len(found.shifts) - len(moved)} when they would anyway"
    )
    missed = [sum(each.in_time[way] is False for each in found.shifts) for way in (0, 1)]
    lines = [text_report([found.before, found.after]).rpartition("\n\n")[0], "", head]
    if any(each.in_time[0] is not None for each in found.shifts):
        lines.append(f"deadlines missed by them: {missed[0]} as it is, {missed[1]} with the change")
    if moved:
        rows = [_shift(each) for each in sorted(moved, key=lambda each: (-abs(each.moved_s), each.job_id))]
        lines += ["", *_aligned([("job", "starts", "ends", "difference", "engine"), *rows[:jobs_max]])]
    if len(moved) > jobs_max:
        lines.append(f"… and {len(moved) - jobs_max} more")
    return "\n".join(lines)


def _shift(each: Shift) -> tuple[str, ...]:
    starts, ends = (
        f"{in_words(before, 's')} → {in_words(after, 's')}"
        for before, after in (each.started_s, each.finished_s)
    )
    certain = None not in each.finished_s
    engines = " → ".join(dict.fromkeys(name or "–" for name in each.engine))
    return (each.job_id, starts, ends, f"{each.moved_s:+,.1f} s" if certain else "–", engines)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _seeds(outcomes: Sequence[Outcome]) -> str:
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(each.seed for each in outcomes))
    digests = ", ".join(f"{each.policy} {each.digest()[:12]}" for each in outcomes)
    return f"seed {seeds}; digest {digests}"


def html_report(outcomes: Sequence[Outcome], *, title: str = "Simulation") -> str:
    """The same and plots, as one page without scripts, fonts or anything else from elsewhere."""
    return "".join(_page(outcomes, title))


def _page(outcomes: Sequence[Outcome], title: str) -> Iterator[str]:
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n"
    yield _table(outcomes)
    yield f'<p class="note">{escape(_seeds(outcomes))}</p>\n'
    yield _section("Waiting by priority", bars(_waits(outcomes, by_priority=True), "s"))
    if len({each.work.account for each in outcomes[0].works}) > 1:
        yield _section("Waiting by account", bars(_waits(outcomes, by_priority=False), "s"))
    yield _section("Utilisation of engines", bars(_utilisation(outcomes), "%"))
    for outcome in outcomes:
        yield _section(f"What ran where: {outcome.policy}", gantt(outcome))
    yield "</body></html>\n"


def _section(heading: str, plot: str) -> str:
    return f'<h2>{escape(heading)}</h2>\n<div class="scroll">{plot}</div>\n'


def _table(outcomes: Sequence[Outcome]) -> str:
    heads = "".join(f"<th>{escape(each.policy)}</th>" for each in outcomes)
    rows = "".join(
        f"<tr><td>{escape(measure.words)}</td>"
        + "".join(f"<td>{escape(in_words(measure.of(each), measure.unit))}</td>" for each in outcomes)
        + "</tr>\n"
        for measure in MEASURES
    )
    return f'<div class="scroll"><table><tr><th></th>{heads}</tr>\n{rows}</table></div>\n'


def _waits(outcomes: Sequence[Outcome], *, by_priority: bool) -> list[Bar]:
    found: list[Bar] = []
    for number, outcome in enumerate(outcomes):
        waits: Mapping[str, list[float]] = (
            {f"priority {name}": each for name, each in outcome.waits_by_priority().items()}
            if by_priority
            else {name or "(no account)": each for name, each in outcome.waits_by_account().items()}
        )
        found += [
            Bar(name, outcome.policy, number, quantile(each, 0.5) or 0.0, quantile(each, 0.95) or 0.0)
            for name, each in waits.items()
        ]
    return found


def _utilisation(outcomes: Sequence[Outcome]) -> list[Bar]:
    return [
        Bar(engine.name, outcome.policy, number, engine.utilisation * 100)
        for number, outcome in enumerate(outcomes)
        for engine in outcome.engines
    ]
