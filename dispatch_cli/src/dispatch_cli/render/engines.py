"""Engines and the state of the whole as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from dispatch_cli.instants import relative
from dispatch_cli.render.jobs import STATE_STYLES, percent, short_ids
from dispatch_cli.render.terminal import cell, listing, pairs, show

Form = Mapping[str, Any]

SEEN_STYLES: Final[Mapping[str, str]] = MappingProxyType(
    {"live": "green", "silent": "yellow", "lost": "bold red", "left": "dim"}
)


def show_engines(page: Form, now: datetime) -> None:
    """A table of engines with what they run."""
    short = short_ids([each["job_id"] for engine in page["engines"] for each in engine["attempts"]])
    rows = [
        (
            engine["id"],
            cell(engine["seen"], SEEN_STYLES.get(str(engine["seen"]), "")),
            _wanted(engine),
            f"{len(engine['attempts'])}/{engine['slots']}",
            relative(engine["last_seen_at"], now),
            ", ".join(
                f"{short[each['job_id']]} {percent(each['progress'])}".strip() for each in engine["attempts"]
            ),
        )
        for engine in page["engines"]
    ]
    if not rows:
        show(cell("No engines."))
        return
    show(listing(("id", "seen", "wanted", "#busy", "last seen", "runs"), rows, whole=("id",)))


def show_engine(engine: Form, now: datetime) -> None:
    """Everything about one engine."""
    facts = {name: _plain(each) for name, each in sorted(engine["facts"].items())}
    show(
        pairs(
            [
                ("id", engine["id"]),
                ("seen", cell(engine["seen"], SEEN_STYLES.get(str(engine["seen"]), ""))),
                ("last seen", relative(engine["last_seen_at"], now)),
                ("wanted", _wanted(engine)),
                ("slots", f"{len(engine['attempts'])} of {engine['slots']} busy"),
                ("kinds", ", ".join(engine["kinds"])),
                ("free disk", _gigabytes(engine["disk_free_bytes"])),
                ("load", None if engine["load"] is None else f"{engine['load']:.2f}"),
                ("software", engine["engine_version"]),
                ("registered", relative(engine["registered_at"], now)),
                *facts.items(),
            ]
        )
    )
    if engine["benchmarks"]:
        rows = [
            (each["task_class"], f"{each['units_per_s']:.3g}", each.get("tool", ""))
            for each in engine["benchmarks"]
        ]
        show(Text(), listing(("task class", "#units/s", "tool"), rows))
    if engine["windows"]:
        show(Text())
        show_windows(engine["windows"], now)
    if engine["attempts"]:
        show(Text(), _running(engine["attempts"], now))


def show_speeds(task_classes: Sequence[Form]) -> None:
    """A table of what an engine was seen to do."""
    rows = [
        (
            each["task_class"],
            str(each["count"]),
            f"{each['units_per_s_p50']:.3g}",
            f"{each['units_per_s_p90']:.3g}",
            _factor(each["estimate_off_p50"]),
            _factor(each["estimate_off_p90"]),
        )
        for each in task_classes
    ]
    if not rows:
        show(cell("Nothing completed yet."))
        return
    headings = ("task class", "#jobs", "#units/s p50", "#p90", "#estimate off p50", "#off p90")
    show(listing(headings, rows, whole=("task class",)))


def show_rates(estimates: Sequence[Form]) -> None:
    """A table of how long a unit of work should take."""
    rows = [
        (
            each["engine_id"],
            each["task_class"],
            f"{each['s_per_unit_p50']:.3g}",
            f"{each['s_per_unit_p90']:.3g}",
            f"{each['samples']:.1f}",
            "yes" if each["benchmarked"] else "no",
        )
        for each in estimates
    ]
    if not rows:
        show(cell("Nothing is known: no engine has a benchmark or completed a job."))
        return
    headings = ("engine", "task class", "#s/unit p50", "#p90", "#samples", "benchmark")
    show(listing(headings, rows, whole=("engine", "task class")))


def _factor(off: float | None) -> str:
    return "" if off is None else f"×{off:.2f}"


def show_windows(windows: Sequence[Form], now: datetime) -> None:
    """A table of maintenance windows."""
    rows = [
        (
            each["id"],
            each["engine_id"] or "all engines",
            relative(each["begins_at"], now),
            relative(each["ends_at"], now),
            each["reason"],
        )
        for each in windows
    ]
    if not rows:
        show(cell("No maintenance windows."))
        return
    show(listing(("window", "engine", "begins", "ends", "reason"), rows, whole=("window",)))


def show_status(told: Form, address: str) -> None:
    """Counts, and whether nothing was lost."""
    holds = cell("holds", "green") if told["identity_holds"] else cell("BROKEN", "bold red")
    jobs = [(cell(state, STATE_STYLES.get(state, "")), str(count)) for state, count in told["jobs"].items()]
    engines = [(cell(seen, SEEN_STYLES.get(seen, "")), str(count)) for seen, count in told["engines"].items()]
    show(
        pairs(
            [
                ("target", address),
                ("version", str(told.get("version") or "")),
                ("jobs accepted", str(told["accepted"])),
                ("purged", str(told.get("purged", 0))),
                ("accounting", holds),
            ]
        ),
        Text(),
        listing(("jobs", "#count"), jobs),
        Text(),
        listing(("engines", "#count"), engines) if engines else cell("No engines."),
    )


def _running(attempts: Sequence[Form], now: datetime) -> Table:
    rows = [
        (each["job_id"], str(each["attempt"]), relative(each["granted_at"], now), percent(each["progress"]))
        for each in attempts
    ]
    return listing(("job", "#try", "granted", "#progress"), rows, whole=("job",))


def _wanted(engine: Form) -> Text:
    wanted = engine["wanted"]
    text = cell(wanted["state"], "" if wanted["state"] == "active" else "yellow")
    return text.append_text(cell(f" ({wanted['reason']})", "dim")) if wanted["reason"] else text


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def _gigabytes(size_bytes: int | None) -> str | None:
    return None if size_bytes is None else f"{size_bytes / 1e9:.1f} GB"
