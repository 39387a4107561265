"""The end of the demo on the terminal."""

from __future__ import annotations

from rich.text import Text

from dispatch_cli.demo.display import paragraph
from dispatch_cli.demo.summary import Row, Summary
from dispatch_cli.render.terminal import cell, listing, show


def show_summary(summary: Summary) -> None:
    """The table of jobs, the rescue, the books, and the verdict."""
    headings = ("#", "job", "#prio", "engine", "#tries", "#wait", "#run", "#size", "checked")
    show(Text(), listing(headings, [_cells(row) for row in summary.jobs]), Text())
    if summary.killed:
        paragraph(_rescue(summary))
    else:
        paragraph(["Every job ended before an engine could be killed at work; try longer clips."])
    parts = " + ".join(f"{count} {state}" for state, count in summary.counts.items())
    verdict = "the books balance" if summary.identity_holds else "THE BOOKS DO NOT BALANCE"
    paragraph([f"Accounting: {summary.accepted} accepted = {parts}: {verdict}."])
    bad = [row for row in summary.jobs if row.problem]
    if bad:
        paragraph([f"Job {row.number}: {row.problem}" for row in bad])
    else:
        paragraph([f"All {len(summary.jobs)} outputs decode to their end, {summary.seconds:.0f} s in all."])


def _cells(row: Row) -> list[Text | str]:
    checked = (
        cell(row.problem, "bold red") if row.problem else cell(f"{row.decoded_s:.1f} s decoded", "green")
    )
    return [
        str(row.number),
        row.work,
        str(row.priority),
        row.engine,
        str(row.attempts),
        f"{row.wait_s:.1f} s",
        f"{row.run_s:.1f} s",
        f"{row.size_bytes / 1e3:,.0f} kB",
        checked,
    ]


def _rescue(summary: Summary) -> list[str]:
    if summary.rescued:
        head = f"{summary.killed} was killed at work and {summary.rescued} finished its job:"
    else:
        head = f"{summary.killed} was killed, but its job had just ended:"
    return [head, *(f"  {line}" for line in summary.story)]
