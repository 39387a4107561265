"""Follow jobs until they end, showing what happens the way the output can take it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, Protocol

import click

from dispatch_cli.render.clean import clean
from dispatch_cli.render.terminal import interactive
from dispatch_cli.target import ENDED, Form, Target

POLL_S_MIN: Final = 0.2
POLL_S_MAX: Final = 2.0
POLL_GROWTH: Final = 1.3


class Display(Protocol):
    """Where news of jobs goes."""

    def update(self, job: Form, attempt: Form | None) -> None:
        """A job as it is now, with its live attempt if it has one. Called at every look."""
        ...


class Lines:
    """One line for people whenever a job's state has changed."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[object, ...]] = {}

    def update(self, job: Form, attempt: Form | None) -> None:
        """See ``Display``."""
        now = (job["state"], job["cancel_requested"], bool(job["hold"]), job["attempts_used"])
        if self._told.get(job["id"]) != now:
            self._told[job["id"]] = now
            click.echo(clean(f"{job['id']}: {news(job)}"))


class JsonLines:
    """The form of a job on one line whenever its version has changed."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def update(self, job: Form, attempt: Form | None) -> None:
        """See ``Display``."""
        if self._told.get(job["id"]) != job["version"]:
            self._told[job["id"]] = job["version"]
            click.echo(json.dumps(job, ensure_ascii=False))


class Silence:
    """Nothing."""

    def update(self, job: Form, attempt: Form | None) -> None:
        """See ``Display``."""


class Bars:
    """A bar for every job on the terminal, and a line for each that ended."""

    def __init__(self, resources: ExitStack) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._progress = resources.enter_context(
            Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True, highlight=False),
                transient=True,
            )
        )
        self._tasks: dict[str, Any] = {}
        self._ended: set[str] = set()

    def update(self, job: Form, attempt: Form | None) -> None:
        """See ``Display``."""
        if job["id"] in self._ended:
            return
        if job["id"] not in self._tasks:
            self._tasks[job["id"]] = self._progress.add_task(clean(job["id"]), total=1.0)
        task = self._tasks[job["id"]]
        if job["state"] in ENDED:
            self._ended.add(job["id"])
            self._progress.remove_task(task)
            self._progress.console.print(clean(f"{job['id']}: {news(job)}"), markup=False)
            return
        told = attempt["progress"] if attempt else None
        self._progress.update(
            task, completed=told["fraction"] if told else 0.0, description=clean(f"{job['id']} {news(job)}")
        )


def follow(
    target: Target,
    job_ids: Sequence[str],
    *,
    quiet: bool = False,
    as_json: bool = False,
    within_s: float | None = None,
) -> list[Form]:
    """The last forms of the jobs, in the order given: all ended, unless ``within_s`` was over before."""
    with ExitStack() as resources:
        display: Display
        if quiet or as_json:
            display = JsonLines() if as_json else Silence()
        else:
            display = Bars(resources) if interactive() else Lines()
        return _follow(target, list(dict.fromkeys(job_ids)), display, within_s)


def _follow(target: Target, job_ids: Sequence[str], display: Display, within_s: float | None) -> list[Form]:
    deadline = None if within_s is None else time.monotonic() + within_s
    last: dict[str, Form] = {}
    pause_s = POLL_S_MIN
    while True:
        for job_id in job_ids:
            if job_id not in last or last[job_id]["state"] not in ENDED:
                last[job_id] = target.job(job_id)
                display.update(last[job_id], _live_attempt(target, last[job_id]))
        left_s = POLL_S_MAX if deadline is None else deadline - time.monotonic()
        if left_s <= 0 or all(job["state"] in ENDED for job in last.values()):
            return [last[job_id] for job_id in job_ids]
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * POLL_GROWTH, POLL_S_MAX)


def _live_attempt(target: Target, job: Form) -> Form | None:
    if job["state"] != "assigned":
        return None
    attempts = target.attempts(job["id"])["attempts"]
    return next((each for each in reversed(attempts) if each["attempt"] == job["live_attempt"]), None)


def news(job: Mapping[str, Any]) -> str:
    """The state of a job and what explains it, on one line."""
    words = [str(job["state"])]
    if job["state"] == "assigned":
        words.append(f"on {job['engine_id']}")
    if job["cancel_requested"]:
        words.append("asked to stop")
    if job["hold"]:
        words.append("held")
    if job["error"]:
        words.append(f"({job['error']['failure_class']}: {job['error']['message']})")
    return " ".join(words)
