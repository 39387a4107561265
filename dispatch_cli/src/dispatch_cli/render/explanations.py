"""Why jobs wait and what claims would see, as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Any, Final

from rich.text import Text

from dispatch_cli.durations import spell_duration
from dispatch_cli.render.terminal import cell, listing, pairs, show

Form = Mapping[str, Any]

_VERDICT_STYLES: Final[Mapping[str, str]] = MappingProxyType(
    {"never": "bold red", "offline": "red", "limited": "magenta", "next": "green", "running": "cyan"}
)


def show_explanation(told: Form) -> None:
    """Why a job is where it is, when it should start, and the smallest change that would move it."""
    show(
        pairs(
            [
                ("job", told["job_id"]),
                ("verdict", cell(told["verdict"], _VERDICT_STYLES.get(str(told["verdict"]), "yellow"))),
                ("because", told["summary"]),
                ("would help", told["unblock"]),
                ("or", "; or ".join(told.get("instead", ()))),
                ("position", _position(told)),
                ("ordered", f"by its own mode, {told['mode']}" if told.get("mode") else None),
                ("starts", spell_start(told.get("estimated_start"), told["at"])),
            ]
        )
    )
    if told["engines"]:
        show(Text(), listing(("engine", "could", "estimate", "reasons"), map(_answer, told["engines"])))


def _position(told: Form) -> str | None:
    if told["position"] is None:
        return None
    return str(told["position"]) if told.get("position_exact", True) else f"≥ {told['position']}"


def spell_start(start: Form | None, at: str, zone: tzinfo | None = None) -> str | None:
    """An estimated start in words, in the local time or that of ``zone``.

    >>> from datetime import UTC
    >>> start = {"p10": "2030-01-31T14:30:10Z", "p50": "2030-01-31T14:32:00Z", "p90": "2030-01-31T14:41:30Z"}
    >>> spell_start(start, "2030-01-31T14:00:00Z", UTC)
    'about 14:32, between 14:30 and 14:41 (estimate)'
    >>> spell_start(start, "2030-01-30T14:00:00Z", UTC)
    'about 2030-01-31 14:32, between 2030-01-31 14:30 and 2030-01-31 14:41 (estimate)'
    >>> spell_start(dict.fromkeys(start, "2030-01-31T14:00:00Z"), "2030-01-31T14:00:00Z", UTC)
    'at the next claim'
    """
    if start is None:
        return None
    now, low, middle, high = (
        datetime.fromisoformat(text).astimezone(zone)
        for text in (at, start["p10"], start["p50"], start["p90"])
    )
    if high == now:
        return "at the next claim"
    style = "%H:%M"
    if (high - low).total_seconds() < 60 and (high - now).total_seconds() < 3_600:
        style = "%H:%M:%S"
    if high.date() != now.date():
        style = f"%Y-%m-%d {style}"
    about, first, last = (each.strftime(style) for each in (middle, low, high))
    spread = f", between {first} and {last}" if first != last else ""
    return f"about {about}{spread} (estimate)"


def _answer(answer: Form) -> Sequence[Text | str]:
    estimate = answer["estimate_s"]
    return (
        answer["engine_id"],
        cell("yes", "green") if answer["admits"] else cell("no", "red"),
        "" if estimate is None else spell_duration(estimate),
        _reasons(answer["reasons"]),
    )


def _reasons(reasons: Sequence[Form]) -> str:
    return "; ".join(
        each["message"] + (f" (mend: {each['mend']})" if each.get("mend") else "") for each in reasons
    )


def show_preview(told: Form) -> None:
    """What a claim would see: the winner, those after it, and what was refused."""
    chosen = told["chosen"]
    nothing = "nothing waits that it could take" if not told["refused"] else "nothing of what waits"
    show(
        pairs(
            [
                ("engine", told["engine_id"]),
                ("would get", chosen["job_id"] if chosen else cell(nothing, "yellow")),
                ("takes", spell_duration(chosen["estimate_s"]) if chosen else None),
                ("but", _reasons(told["reasons"])),
                ("refused", ", ".join(f"{code} {count}" for code, count in told["refused"].items())),
            ]
        )
    )
    if told["runners_up"]:
        rows = [
            (each["job_id"], spell_duration(each["estimate_s"]), _later(each, chosen))
            for each in told["runners_up"]
        ]
        show(Text(), listing(("runner-up", "takes", "late"), rows))


def _later(each: Form, chosen: Form | None) -> str:
    return "" if chosen is None else f"{(each['score'] - chosen['score']) / 1e6:.1f} s later"
