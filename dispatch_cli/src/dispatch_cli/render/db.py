"""What the upkeep of a database looks like to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from rich.text import Text

from dispatch_cli.render.clean import clean
from dispatch_cli.render.terminal import cell, interactive, listing, pairs, show
from dispatch_core.storage import Restoration, SharedInfo, StoreInfo, Tell, Verdict

STEPS: Final = {"copy": "copying", "pages": "checking pages", "rows": "checking rows", "migrate": "migrating"}


@contextmanager
def bar(*, quiet: bool) -> Iterator[Tell]:
    """A bar on standard error for whoever watches it; nothing otherwise."""
    if quiet or not interactive():
        yield lambda _step, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = {step: progress.add_task(words, visible=False) for step, words in STEPS.items()}

        def tell(step: str, done: int, total: int) -> None:
            progress.update(tasks[step], completed=done, total=total or None, visible=True)

        yield tell


def show_verdict(verdict: Verdict) -> None:
    """What was looked at, and what is wrong."""
    looked = (
        "every row, history and count" if verdict.read else "pages only: the schema is not this version's"
    )
    show(
        pairs(
            [
                ("database", str(verdict.path)),
                ("schema", verdict.revision),
                ("looked at", looked if verdict.ok or verdict.read else "what could be read"),
                ("verdict", Text("sound", "green") if verdict.ok else _wrong(verdict.findings_total)),
            ]
        ),
        Text(),
        listing(("rows", "#count"), [(name, str(count)) for name, count in verdict.counts.items()]),
        *(cell(f"- {clean(finding)}") for finding in verdict.findings),
    )


def _wrong(total: int) -> Text:
    return Text(f"{total} {'finding' if total == 1 else 'findings'}", "bold red")


def show_restoration(done: Restoration) -> None:
    """What happened."""
    show(
        pairs(
            [
                ("database", str(done.path)),
                ("restored from", str(done.backup)),
                ("verified", f"{done.verdict.counts.get('jobs', 0)} jobs, every row and count"),
                ("migrated from", done.migrated_from),
                ("what was there", "nothing" if done.aside is None else f"is now {done.aside}"),
                ("incarnation", f"{done.incarnation} (leases of before are lost, and granted anew)"),
            ]
        )
    )


def show_info(info: StoreInfo) -> None:
    """The file."""
    show(
        pairs(
            [
                ("database", str(info.path)),
                ("size", f"{info.size_bytes / 1e6:.1f} MB, log {info.log_bytes / 1e6:.1f} MB"),
                ("schema", _schema(info)),
                ("incarnation", info.incarnation),
                ("used by", info.in_use_by or "nobody"),
                ("jobs", _counted(info.jobs)),
                ("SQLite", info.sqlite_version),
            ]
        )
    )


def show_shared(info: SharedInfo) -> None:
    """The database that servers share."""
    held = f"{info.oldest_write_s:.0f} s: a transaction is open, and events since are not told"
    show(
        pairs(
            [
                ("database", info.name),
                ("size", f"{info.size_bytes / 1e6:.1f} MB"),
                ("schema", f"{_schema(info)}, for programs from {info.oldest_program} on"),
                ("incarnation", info.incarnation),
                ("connected", _counted(info.connected, "nobody")),
                ("events held back", held if info.oldest_write_s >= 1 else "no"),
                ("jobs", _counted(info.jobs)),
                ("PostgreSQL", info.server_version),
            ]
        )
    )


def _schema(info: StoreInfo | SharedInfo) -> str:
    newest = info.revision == info.newest_revision
    return str(info.revision) if newest else f"{info.revision} (this version's is {info.newest_revision})"


def _counted(counts: Mapping[str, int], nothing: str = "none") -> str:
    return ", ".join(f"{count} {name or 'unnamed'}" for name, count in counts.items()) or nothing
