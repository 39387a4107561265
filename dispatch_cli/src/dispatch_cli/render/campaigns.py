"""Campaigns as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dispatch_cli.durations import spell_duration
from dispatch_cli.instants import relative
from dispatch_cli.render.terminal import pairs, show

Form = Mapping[str, Any]


def show_progress(form: Form, now: datetime) -> None:
    """How many of its jobs are done, the states of all, and what is left to do."""
    ended, count = form["count"] - form["open"], form["count"]
    show(
        pairs(
            [
                ("campaign", form["name"]),
                ("ended", f"{ended} of {count} ({100 * ended // count} %)"),
                ("jobs", ", ".join(f"{state} {jobs}" for state, jobs in form["jobs"].items() if jobs)),
                ("work queued", spell_duration(form["queued_s"])),
                ("first submitted", relative(form["first_submitted_at"], now)),
                ("last submitted", relative(form["last_submitted_at"], now)),
            ]
        )
    )
