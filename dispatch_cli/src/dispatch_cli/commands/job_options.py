"""Options that describe a job, shared by submit and edit, and the form they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from attrs import frozen

from dispatch_cli.parameter_types import AHEAD, DURATION, FALL_BACK, INSTANT, LIMIT_USE

F = TypeVar("F", bound=Callable[..., object])
_PLACE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")

_COMMON: Final = (
    click.option("--priority", type=int, metavar="N", help="-100 to 100, higher first."),
    click.option("--require", "requirements", multiple=True, metavar="TERM",
                 help="What the engine must have, such as 'encoder has libx265' (repeatable)."),
    click.option("--fall-back", "ladder", type=FALL_BACK, multiple=True, metavar="STEP",
                 help="Loosen the wish if nobody took the job for so long: '10m any' (no requirements), "
                      "'20m require ffmpeg >= 6', '30m codec=h264; crf=23' (repeatable, each later)."),
    click.option("--pool", metavar="POOL_ID", help="The storage pool it writes to."),
    click.option("--account", metavar="NAME", help="Whose share of the fleet it uses."),
    click.option("--mode", type=click.Choice(("flow", "makespan", "fifo")),
                 help="How it is ordered, if not by the mode of the server."),
    click.option("--deadline", type=AHEAD, metavar="TIME", help="When it should be done: a time, or 2h from now."),
    click.option("--hard-deadline/--soft-deadline", "hard_deadline", default=None,
                 help="A hard deadline moves it forward; a soft one is only reported [soft]."),
    click.option("--limit", "limits", type=LIMIT_USE, multiple=True, metavar="KEY[=UNITS]",
                 help="What it takes of a limit by key while it runs, such as licence-x or io=2 (repeatable)."),
    click.option("--max-attempts", type=int, metavar="N", help="Give up after so many attempts."),
    click.option("--max-retries", type=int, metavar="N", help="The same without counting the first."),
    click.option("--queue-ttl", type=DURATION, metavar="DURATION", help="Fail if it was not granted after this long."),
    click.option("--run-limit", type=DURATION, metavar="DURATION", help="End an attempt that runs longer."),
    click.option("--no-progress-limit", type=DURATION, metavar="DURATION",
                 help="End an attempt that made no progress for this long."),
    click.option("--not-before", type=INSTANT, metavar="TIME", help="Not before a time, or +2h from now."),
    click.option("--size-mb", type=float, metavar="MB", help="Size of the source in megabytes."),
    click.option("--duration", type=DURATION, metavar="DURATION", help="Length of the media."),
    click.option("--note", metavar="TEXT", help="A note for people."),
)  # fmt: skip


@frozen(kw_only=True)
class JobOptions:
    """What the common options said; None or empty is what was not said."""

    priority: int | None
    requirements: tuple[str, ...]
    ladder: tuple[Mapping[str, object], ...]
    pool: str | None
    account: str | None
    mode: str | None
    deadline: str | None
    hard_deadline: bool | None
    limits: tuple[Mapping[str, object], ...]
    max_attempts: int | None
    max_retries: int | None
    queue_ttl: float | None
    run_limit: float | None
    no_progress_limit: float | None
    not_before: str | None
    size_mb: float | None
    duration: float | None
    note: str | None

    def form(self) -> dict[str, Any]:
        """The part of a job's form that was said; what was not said keeps the server's defaults."""
        timeouts = said(queue_s=self.queue_ttl, run_s=self.run_limit, no_progress_s=self.no_progress_limit)
        return said(
            priority=self.priority,
            requirements=list(self.requirements) or None,
            ladder=list(self.ladder) or None,
            pool=self.pool,
            account=self.account,
            mode=self.mode,
            deadline=said(at=self.deadline, hard=self.hard_deadline) or None,
            limits=list(self.limits) or None,
            retry=said(max_attempts=self.max_attempts) or None,
            max_retries=self.max_retries,
            timeouts=timeouts or None,
            not_before=self.not_before,
            size=said(size_mb=self.size_mb, duration_s=self.duration) or None,
            note=self.note,
        )


def job_options(command: F) -> F:
    """The common options; hand them to ``JobOptions``."""
    for option in reversed(_COMMON):
        command = option(command)
    return command


def said(**values: object) -> dict[str, Any]:
    """The values that are there."""
    return {name: value for name, value in values.items() if value is not None}


def place(text: str) -> str:
    """A path made absolute, because an engine has another working directory; an address as it is.

    >>> place("https://media.example/a.mov"), place("/srv/media/a.mov")
    ('https://media.example/a.mov', '/srv/media/a.mov')
    """
    return text if _PLACE.match(text) else str(Path(text).absolute())


def size_of(source: str) -> Mapping[str, int]:
    """The size of a source that is a file here; empty if it is not."""
    try:
        path = Path(source)
        return {"size_bytes": path.stat().st_size} if path.is_file() else {}
    except (OSError, ValueError):
        return {}
