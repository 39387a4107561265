"""What a simulation looks like to people while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dispatch_cli.render.terminal import interactive

Watch = Callable[[str], Callable[[int, int], None]]
"""Gives what a simulation of this name tells its progress to: how many works have ended, and of how many."""


@contextmanager
def watching(names: Sequence[str], *, quiet: bool) -> Iterator[Watch]:
    """A bar on standard error for each simulation, for whoever watches; nothing otherwise."""
    if quiet or not interactive():
        yield lambda _name: lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = {name: progress.add_task(name, start=False) for name in names}

        def watch(name: str) -> Callable[[int, int], None]:
            progress.start_task(tasks[name])
            return lambda done, total: progress.update(tasks[name], completed=done, total=total)

        yield watch
