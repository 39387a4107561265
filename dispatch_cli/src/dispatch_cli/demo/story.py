"""The history of a job in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dispatch_cli.target import Form

if TYPE_CHECKING:
    from dispatch_cli.demo.play import Killing


def tell(killing: Killing, events: Sequence[Form]) -> list[str]:
    """What happened to a job, one line each with the seconds since it was submitted."""
    began = datetime.fromisoformat(events[0]["at"])
    lines = [(datetime.fromisoformat(event["at"]), _words(event["event"], event["data"])) for event in events]
    words = f"{killing.engine_id} was killed (SIGKILL) at {100 * killing.fraction:.0f} %"
    others = [each for each in killing.explanation["engines"] if each["engine_id"] != killing.engine_id]
    lines.append((killing.at, f"{words}; explain: {'; '.join(map(_answer, others))}"))
    return [f"{(at - began).total_seconds():+7.2f} s  {text}" for at, text in sorted(lines)]


def _answer(answer: Mapping[str, Any]) -> str:
    """One engine's part of an explanation: whether it could run the job, and what stands against it."""
    reasons = [reason["message"].partition(";")[0] for reason in answer["reasons"]]
    return f"{answer['engine_id']} {'could' if answer['admits'] else 'cannot'} run it{': ' if reasons else ''}{', '.join(reasons)}"


def _words(event: str, data: Mapping[str, Any]) -> str:
    match event:
        case "job-submitted":
            return f"submitted with priority {data['spec']['priority']}"
        case "job-granted":
            return f"attempt {data['attempt']} was granted to {data['engine_id']}"
        case "lease-expired":
            return f"the lease of attempt {data['attempt']} ran out: {data['into']} again at once, the attempt counted"
        case "lease-resumed":
            return f"{data['engine_id']} was heard of again and went on with attempt {data['attempt']}"
        case "lease-given-back":
            return f"attempt {data['attempt']} was given back: {data['reason']}"
        case "attempt-failed":
            return f"attempt {data['attempt']} failed: {data['error']['message']}"
        case "job-completed":
            result = data["result"]
            return (
                f"attempt {data['attempt']} completed: {result.get('size_bytes', 0):,} bytes"
                f" by {result.get('encoder')}"
            )
        case _:
            return event.replace("-", " ")
