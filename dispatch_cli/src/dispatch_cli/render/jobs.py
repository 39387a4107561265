"""Jobs, their attempts, history and explanations as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from dispatch_cli.durations import spell_duration
from dispatch_cli.instants import relative
from dispatch_cli.render.terminal import cell, listing, pairs, show

Form = Mapping[str, Any]

STATE_STYLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pending": "yellow",
        "delayed": "blue",
        "assigned": "cyan",
        "failed_retry": "magenta",
        "completed": "green",
        "failed_permanently": "bold red",
        "cancelled": "dim",
    }
)
_LATE: Final = "missed"
_WHOLE_ID: Final = 30
_SHORT_ID: Final = 12


def state(job: Form) -> Text:
    """The state with what stands beside it: held, pinned, fallen back, asked to cancel, deleted."""
    text = cell(job["state"], STATE_STYLES.get(str(job["state"]), ""))
    beside = [
        word
        for word, holds in (
            ("held", job["hold"]),
            ("pinned", job["pin"]),
            ("fell back", job.get("step")),
            ("cancelling", job["cancel_requested"]),
            ("deleted", job["deleted_at"]),
        )
        if holds
    ]
    return text.append(f" ({', '.join(beside)})" if beside else "", style="dim")


def what(job: Form) -> str:
    """What a job does, in a few words."""
    parameters = job["parameters"]
    if job["kind"] == "transcode" and {"source", "target"} <= set(parameters):
        wanted = parameters.get("encoder") or parameters.get("codec") or "h264"
        source, target = (_file_name(str(parameters[end])) for end in ("source", "target"))
        return f"{source} → {target} ({wanted})"
    return (
        f"{job['kind']} {json.dumps(parameters, ensure_ascii=False)[:80]}" if parameters else str(job["kind"])
    )


def short_ids(job_ids: Sequence[str]) -> Mapping[str, str]:
    """The beginnings of ids that tell these apart: the prefix and eight digits, or more if they must.

    >>> short_ids(["job-3r3txcpg4xfhq498bzt3gdt80y", "job-3r3txcpg5xfhq498bzt3gdt80y", "own-7"])["own-7"]
    'own-7'
    """
    length = _SHORT_ID
    made = [each for each in set(job_ids) if len(each) == _WHOLE_ID and each.startswith("job-")]
    while len({each[:length] for each in made}) < len(made):
        length += 1
    return {each: each[:length] if each in made else each for each in job_ids}


def show_jobs(page: Form, now: datetime) -> None:
    """A page of jobs, and how to see the next."""
    short = short_ids([job["id"] for job in page["jobs"]])
    rows = [
        (
            short[job["id"]],
            state(job),
            str(job["priority"]),
            f"{job['attempts_used']}/{job['max_attempts_effective']}",
            relative(job["created_at"], now),
            job["engine_id"] or "",
            job["account"] or "",
            _due(job, now),
            what(job),
        )
        for job in page["jobs"]
    ]
    if not rows:
        show(cell("No jobs."))
        return
    show(
        listing(
            ("id", "state", "#prio", "#tries", "created", "engine", "account", "deadline", "work"),
            rows,
            whole=("id", "state"),
        )
    )
    if page.get("next_cursor"):
        show(cell("There are more: --all, or --limit N", "dim"))


def show_job(job: Form, attempts: Sequence[Form], now: datetime) -> None:
    """Everything about one job."""
    show(pairs(_facts(job, now)))
    if attempts:
        show(Text(), attempts_table(attempts, now))


def _facts(job: Form, now: datetime) -> list[tuple[str, Text | str | None]]:
    timeouts = job["timeouts"]
    limits = [
        f"{name[:-2].replace('_', '-')} {spell_duration(each)}" for name, each in timeouts.items() if each
    ]
    return [
        ("id", job["id"]),
        ("state", state(job)),
        ("work", what(job)),
        ("parameters", _inline(job["parameters"])),
        ("size", _inline(job["size"])),
        ("requires", "; ".join(job["requirements"])),
        *_ladder(job, now),
        ("pool", job["pool"]),
        ("account", job["account"]),
        ("campaign", job["campaign"]),
        ("mode", job["mode"]),
        ("deadline", _deadline(job, now)),
        ("takes", ", ".join(f"{each['key']} ({each['units']})" for each in job.get("limits", ())) or None),
        ("priority", str(job["priority"])),
        ("attempts", f"{job['attempts_used']} of {_permitted(job)}"),
        ("limits", ", ".join(limits)),
        ("engine", job["engine_id"]),
        ("pinned to", job["pin"] and f"{job['pin']['engine_id']} {job['pin']['reason']}".strip()),
        ("held", job["hold"] and (job["hold"]["reason"] or "yes")),
        ("cancel", job["cancel_reason"]),
        ("not before", _when(job["not_before"], now)),
        ("retry at", _when(job["retry_at"], now)),
        ("created", _when(job["created_at"], now)),
        ("updated", _when(job["updated_at"], now)),
        ("ended", _when(job["ended_at"], now)),
        ("deleted", _when(job["deleted_at"], now)),
        ("result", _inline(job["result"])),
        ("error", job["error"] and cell(describe_error(job["error"]), "red")),
        ("note", job["note"]),
        ("version", f"{job['version']}, generation {job['generation']}"),
    ]


def _ladder(job: Form, now: datetime) -> list[tuple[str, Text | str | None]]:
    """How far the job's wish was loosened, what it was at first, and when it is loosened next."""
    ladder, asked = job.get("ladder"), job.get("asked")
    if not ladder:
        return []
    at_first = asked and "; ".join([*asked["requirements"], _inline(asked["parameters"])])
    return [
        ("step", f"{job['step']} of {len(ladder)}"),
        ("asked for", at_first),
        ("falls back at", _when(job["falls_back_at"], now)),
    ]


def _deadline(job: Form, now: datetime) -> Text | str | None:
    """When it should be done, and whether it was or can still be."""
    deadline = job["deadline"]
    if deadline is None:
        return None
    text = f"{'hard' if deadline['hard'] else 'soft'}, {_when(deadline['at'], now)}"
    return cell(f"{text}, {_LATE}", "red") if late(job, now) else text


def _due(job: Form, now: datetime) -> Text | str:
    """The deadline in a list: how far it is, or that it is missed; of what was in time, nothing."""
    if late(job, now):
        return cell(_LATE, "red")
    return "" if job["deadline"] is None or job["ended_at"] else relative(job["deadline"]["at"], now)


def late(job: Form, now: datetime) -> bool:
    """Whether its deadline is missed: it ended too late, or is open when it should be done."""
    if job["deadline"] is None or job["ended_at"] is not None:
        return bool(job["deadline_missed"])
    return datetime.fromisoformat(job["deadline"]["at"]) < now


def _permitted(job: Form) -> str:
    """How many attempts the server permits, and what was asked for if that is more."""
    asked, effective = job["retry"]["max_attempts"], job["max_attempts_effective"]
    return str(effective) if asked == effective else f"{effective} (the server's cap; {asked} were asked for)"


def attempts_table(attempts: Sequence[Form], now: datetime) -> Table:
    """A table of attempts, first to last."""
    rows = [
        (
            str(attempt["attempt"]),
            attempt["engine_id"],
            relative(attempt["granted_at"], now),
            _ran(attempt, now),
            attempt["outcome"] or "running",
            percent(attempt["progress"]),
            describe_error(attempt["error"]) if attempt["error"] else "",
            _inline(attempt["usage"]),
        )
        for attempt in attempts
    ]
    return listing(("#try", "engine", "granted", "#ran", "outcome", "#progress", "error", "used"), rows)


def show_history(page: Form, now: datetime) -> None:
    """What became of a record, oldest first."""
    rows = [
        (str(row["version"]), row["at"], row["actor"], row["event"], _inline(row["data"]))
        for row in page["events"]
    ]
    show(listing(("#version", "at", "by", "event", "data"), rows, whole=("at", "event")))
    if page.get("next_cursor"):
        show(cell("There are more: --limit N", "dim"))


def describe_error(error: Form) -> str:
    """An error on one line: who is to blame, and what happened."""
    return f"{error['failure_class']}: {error['message']}"


def percent(progress: Form | None) -> str:
    """How far an attempt is."""
    return "" if not progress else f"{100 * progress['fraction']:.0f} %"


def _ran(attempt: Form, now: datetime) -> str:
    end = datetime.fromisoformat(attempt["ended_at"]) if attempt["ended_at"] else now
    return spell_duration(
        max(0.0, round((end - datetime.fromisoformat(attempt["granted_at"])).total_seconds(), 1))
    )


def _when(text: str | None, now: datetime) -> str:
    return f"{text} ({relative(text, now)})" if text else ""


def _inline(data: Any) -> str:
    return ", ".join(
        f"{name}={each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)}"
        for name, each in (data or {}).items()
    )


def _file_name(place: str) -> str:
    return PurePosixPath(place.partition("?")[0]).name or place
