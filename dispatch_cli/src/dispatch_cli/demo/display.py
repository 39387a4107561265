"""The demo on a terminal: a table that moves. Elsewhere: a line whenever something happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dispatch_cli.demo.plan import ENGINES
from dispatch_cli.demo.scene import Act, Scene, seen
from dispatch_cli.render.clean import clean
from dispatch_cli.render.jobs import STATE_STYLES
from dispatch_cli.render.terminal import cell

_SEEN_STYLES = {"live": "green", "killed": "bold red", "silent": "yellow", "lost": "red"}


class Display(Protocol):
    """Where the demo is shown."""

    def say(self, text: str) -> None:
        """A sentence about what happens."""
        ...

    def show(self, scene: Scene) -> None:
        """The present moment."""
        ...


class Silence:
    """Nowhere."""

    def say(self, text: str) -> None:
        """See ``Display``."""

    def show(self, scene: Scene) -> None:
        """See ``Display``."""


class Lines:
    """A line for every change, for logs."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def say(self, text: str) -> None:
        """See ``Display``."""
        click.echo(clean(text))

    def show(self, scene: Scene) -> None:
        """See ``Display``."""
        news = [(act.job_id, f"job {act.number}: {act.title}: {_news(scene, act)}") for act in scene.acts]
        news += [(cast.id, f"engine {cast.id}: {seen(scene, cast.id)}") for cast in ENGINES]
        for name, text in news:
            if self._told.get(name) != text:
                self._told[name] = text
                click.echo(clean(f"{scene.at_s:6.1f} s  {text}"))


def _news(scene: Scene, act: Act) -> str:
    job = scene.job(act)
    if job["state"] == "assigned":
        return f"running on {job['engine_id']}, attempt {job['attempts_used']}"
    return str(job["state"])


class Moving:
    """A table that is drawn anew at every look."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._last: dict[str, str] = {}

    def say(self, text: str) -> None:
        """See ``Display``."""
        self._live.console.print(cell(text))

    def show(self, scene: Scene) -> None:
        """See ``Display``."""
        self._last |= {name: job["engine_id"] for name, job in scene.jobs.items() if job["engine_id"]}
        jobs = _jobs(scene, self._last)
        self._live.update(Group(Text(), jobs, Text(), _engines(scene), Text()), refresh=True)


def _jobs(scene: Scene, engines: Mapping[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for heading in ("#", "job", "prio", "state", "engine", "", "try"):
        table.add_column(
            heading, justify="right" if heading in {"#", "prio", "try"} else "left", no_wrap=True
        )
    for act in scene.acts:
        job = scene.job(act)
        state, engine = str(job["state"]), engines.get(act.job_id, "")
        bar = ProgressBar(total=1.0, completed=scene.fraction(act), width=24)
        table.add_row(
            str(act.number),
            cell(act.title),
            str(act.part.priority),
            cell("running" if state == "assigned" else state, STATE_STYLES.get(state, "")),
            cell(engine, "bold red" if engine == scene.killed and state != "completed" else ""),
            bar,
            str(job["attempts_used"] or ""),
        )
    return table


def _engines(scene: Scene) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    for cast in ENGINES:
        state = seen(scene, cast.id)
        table.add_row(
            cell(cast.id, "bold"), cell(state, _SEEN_STYLES.get(state, "dim")), cell(cast.says, "dim")
        )
    return table


@contextmanager
def display(*, silent: bool) -> Iterator[Display]:
    """The display that suits where the output goes."""
    console = Console(highlight=False)
    if silent:
        yield Silence()
    elif not console.is_terminal:
        yield Lines()
    else:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield Moving(live)


def paragraph(lines: Sequence[str]) -> None:
    """Plain lines, followed by an empty one."""
    for line in lines:
        click.echo(clean(line))
    click.echo()
