"""`dispatch db backup|verify|restore|info|migrate|renew`: the file or the PostgreSQL that holds the jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from dispatch_cli.caller import Caller, calling, kept_option
from dispatch_cli.examples import examples
from dispatch_cli.exits import negative

T = TypeVar("T")


@click.command("backup")
@click.argument("into", metavar="FILE", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@calling
@examples(
    "dispatch db backup /backups/dispatch.db --database jobs.db",
    "dispatch db backup --url http://server:8080",
)
def backup_database(caller: Caller, into: Path | None, force: bool) -> None:
    """Back up the database while it is used.

    FILE is complete and on the disk when the command ends, or not there. With --url the server is asked to back up into
    its own folder of backups, and FILE must not be named. PostgreSQL has means of its own; the answer is the command.
    """
    if kept_option(caller.context, "url"):
        if into is not None or force:
            raise click.UsageError("a server names its backups itself; leave FILE out")
        form = caller.target().backup()
        caller.tell_line(form, f"{form['name']}: {_megabytes(form['size_bytes'])}")
        return
    if into is None:
        raise click.UsageError("name the FILE to write")
    from dispatch_core.storage import backup_store

    target = into
    taken = _upkeep(caller, lambda tell: backup_store(_database(caller), target, force=force, tell=tell))
    caller.tell_line(_form(taken), f"{taken.path}: {_megabytes(taken.size_bytes)}")


@click.command("verify")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@calling
@examples(
    "dispatch db verify --database jobs.db",
    "dispatch db verify /backups/dispatch.db --json",
)
def verify_database(caller: Caller, file: Path | None) -> None:
    """Check every page, row, history and count of the database, or of a backup.

    Servers may use it meanwhile. Ends with exit code 1 if anything is wrong. The pages of PostgreSQL are its own to check.
    """
    from dispatch_core.storage import verify_store

    place = _database(caller) if file is None else file
    verdict = _upkeep(caller, lambda tell: verify_store(place, tell=tell))

    def people() -> None:
        from dispatch_cli.render.db import show_verdict

        show_verdict(verdict)

    caller.tell({**_form(verdict), "ok": verdict.ok}, people)
    if not verdict.ok:
        negative(caller.context)


@click.command("restore")
@click.argument("backup", metavar="BACKUP", type=click.Path(dir_okay=False, path_type=Path))
@calling
@examples(
    "dispatch db restore /backups/dispatch.db --database jobs.db",
)
def restore_database(caller: Caller, backup: Path) -> None:
    """Put a backup in the place of the database.

    The backup is verified first, and refused if anything is wrong with it. No server may use the database. What was there
    is moved aside, never deleted. Leases granted before are lost: their jobs are granted anew.
    """
    from dispatch_core.storage import restore_store

    done = _upkeep(caller, lambda tell: restore_store(_database(caller), backup, tell=tell))

    def people() -> None:
        from dispatch_cli.render.db import show_restoration

        show_restoration(done)

    caller.tell(_form(done), people)


@click.command("info")
@calling
@examples(
    "dispatch db info --database jobs.db",
)
def show_database(caller: Caller) -> None:
    """Show what the database says of itself: its size, its schema, who uses it."""
    from dispatch_core.storage import SharedInfo, store_info

    info = _upkeep(caller, lambda _tell: store_info(_database(caller)))

    def people() -> None:
        from dispatch_cli.render.db import show_info, show_shared

        if isinstance(info, SharedInfo):
            show_shared(info)
        else:
            show_info(info)

    caller.tell(_form(info), people)


@click.command("migrate")
@calling
@examples(
    "dispatch db migrate --database jobs.db",
)
def migrate_database(caller: Caller) -> None:
    """Bring the database to the schema of this version, after a copy was put beside it.

    `dispatch serve` does the same when it starts. Of PostgreSQL no copy is made: back it up first. Servers may go on
    meanwhile, if the new schema lets their version share it.
    """
    from dispatch_core.storage import migrate_store

    done = _upkeep(caller, lambda tell: migrate_store(_database(caller), tell=tell))
    beside = "" if done.copy is None else f"; as it was: {done.copy}"
    line = f"{done.path}: schema {done.before} to {done.after}{beside}"
    caller.tell_line(
        _form(done), line if done.before != done.after else f"{done.path}: has schema {done.after} already"
    )


@click.command("renew")
@click.option("--force", is_flag=True, help="Although servers are connected; start them anew afterwards.")
@calling
@examples(
    "dispatch db renew --database postgresql+psycopg://dispatch@db.example/dispatch",
)
def renew_database(caller: Caller, force: bool) -> None:
    """Begin a new incarnation of a database in PostgreSQL.

    After a restore over the tables of the same database (pg_restore --clean), which Dispatch cannot notice; a copy, a restore
    into another database and a promoted standby it notices itself. Leases granted before are lost: their jobs are
    granted anew.
    """
    from dispatch_core.storage import renew_store

    done = _upkeep(caller, lambda _tell: renew_store(_database(caller), force=force))
    line = f"{done.name}: incarnation {done.incarnation} (leases of before are lost, and granted anew)"
    caller.tell_line(_form(done), line)


def _database(caller: Caller) -> str:
    """The database that is named, or the one that `dispatch serve` would use."""
    from dispatch_cli.serve_settings import default_database

    return caller.connection.database or os.environ.get("DISPATCH_DATABASE") or default_database()


def _upkeep(caller: Caller, act: Callable[[Callable[[str, int, int], None]], T]) -> T:
    """Do it, with a bar for those who watch."""
    from dispatch_cli.local_target import core_errors
    from dispatch_cli.render.db import bar

    with core_errors(), bar(quiet=caller.json) as tell:
        return act(tell)


def _form(report: Any) -> dict[str, Any]:
    """A report as JSON data."""
    return attrs.asdict(
        report, value_serializer=lambda _, __, value: str(value) if isinstance(value, Path) else value
    )


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
