"""`dispatch simulate what-if|record`: a live database forked into memory and played on, or written down to be tried again."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.commands.simulate import FILE, MODES, POLICIES, decider, write_both
from dispatch_cli.durations import parse_duration
from dispatch_cli.examples import examples
from dispatch_cli.file_errors import about
from dispatch_cli.parameter_types import DURATION

if TYPE_CHECKING:
    from dispatch_core import JobSpec, Storage
    from dispatch_core.simulation import Changes, Fork, Outcome, WhatIf

FORMS: Final = (
    'must be "engines +N like ENGINE", "without ENGINE", "cap=DURATION", "policy=NAME" or "submit FILE"'
)
_ENGINES: Final = re.compile(r"engines\s+\+(\d{1,4})\s+like\s+(\S+)")
_WITHOUT: Final = re.compile(r"without\s+(\S+)")
_CAP: Final = re.compile(r"cap(_s)?\s*=\s*(\S+)")
_POLICY: Final = re.compile(r"policy\s*=\s*(\S+)")
_SUBMIT: Final = re.compile(r"submit\s+(.+)")


@click.command("what-if")
@click.option("--from-db", "database", metavar="PATH", type=FILE, required=True,
              help="The database; a server may use it meanwhile.")  # fmt: skip
@click.option("--change", "changes", metavar="CHANGE", multiple=True, required=True,
              help="What would be different; may be given several times.")  # fmt: skip
@click.option("--policy", type=click.Choice(POLICIES), default="flow", show_default=True,
              help="The policy of today.")  # fmt: skip
@click.option("--cap", "cap_s", type=DURATION, metavar="DURATION", help="The cap of today [6h].")
@click.option("--jobs", "jobs_max", type=click.IntRange(0), default=20, show_default=True, metavar="N",
              help="How many of the jobs that move to list.")  # fmt: skip
@calling
@examples(
    'dispatch simulate what-if --from-db jobs.db --change "engines +2 like gpu-1"',
    'dispatch simulate what-if --from-db jobs.db --change "without old-3" --change "cap=1h"',
    'dispatch simulate what-if --from-db jobs.db --change "submit jobs.ndjson" --json',
)
def ask_what_if(
    caller: Caller,
    /,
    database: Path,
    changes: tuple[str, ...],
    policy: str,
    cap_s: float | None,
    jobs_max: int,
) -> None:
    """Say what a change would do to the jobs that are open now.

    The open jobs and the engines are copied into memory and played on, as they are and with the changes; the database is
    only read. A CHANGE is "engines +N like ENGINE", "without ENGINE", "cap=DURATION", "policy=NAME" or "submit FILE" (a line of
    JSON per job, as `dispatch submit --file` takes it). Every run takes as long as is estimated, and none fails.
    """
    from dispatch_cli.kinds import KINDS
    from dispatch_cli.render.simulate import watching
    from dispatch_core.simulation import what_if, what_if_report

    asked = parsed(changes)
    with about(database):
        settings = decider(policy, cap_s)
        state = _forked(database)
        with watching(("as it is", "changed"), quiet=caller.json) as watch:
            found = what_if(state, asked, kinds=KINDS, settings=settings, progress=watch)
    caller.tell(_form(found), lambda: click.echo(what_if_report(found, jobs_max=jobs_max)))


@click.command("record")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--from-db", "database", metavar="PATH", type=FILE, required=True,
              help="The database; a server may use it meanwhile.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace files that exist.")
@calling
@examples("dispatch simulate record monday --from-db jobs.db")
def record_trace(caller: Caller, folder: Path, database: Path, force: bool) -> None:
    """Write down the jobs and engines of a database as a workload and a fleet.

    Jobs with their instants, lengths, priorities and requirements; engines with their facts and the speeds they were seen to
    have, else those of their benchmarks. What comes of it can be changed and simulated.
    """
    from dispatch_cli.kinds import KINDS
    from dispatch_core import Dispatcher
    from dispatch_core.simulation import fleet_from, workload_from

    with about(database), copy_of(database) as storage, Dispatcher(storage, kinds=KINDS) as dispatcher:
        workload = workload_from(dispatcher, name=database.stem)
        fleet = fleet_from(dispatcher, workload)
    write_both(caller, folder, fleet, workload, force=force)


def parsed(texts: Sequence[str]) -> Changes:
    """The changes that the texts say. Raises click.UsageError for one that is none, CommandFailure for a bad file."""
    from dispatch_core.simulation import Changes

    changes = Changes()
    for text in texts:
        changes = _with(changes, text)
    return changes


def _with(changes: Changes, text: str) -> Changes:
    if found := _ENGINES.fullmatch(text.strip()):
        return attrs.evolve(changes, engines=(*changes.engines, (found[2], int(found[1]))))
    if found := _WITHOUT.fullmatch(text.strip()):
        return attrs.evolve(changes, without=(*changes.without, found[1]))
    if found := _CAP.fullmatch(text.strip()):
        return attrs.evolve(changes, cap_s=_cap(found[2], text))
    if found := _SUBMIT.fullmatch(text.strip()):
        return attrs.evolve(changes, submit=(*changes.submit, *_specs(Path(found[1]))))
    if (found := _POLICY.fullmatch(text.strip())) and found[1] in POLICIES:
        return attrs.evolve(changes, mode=MODES[found[1]])
    raise click.UsageError(f"--change {text!r}: {FORMS}")


def _cap(value: str, text: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.UsageError(f"--change {text!r}: {error}") from None


def _specs(path: Path) -> list[JobSpec]:
    from dispatch_cli.submitting import lines_of
    from dispatch_core.forms import spec_from_form

    with about(path), path.open(encoding="utf-8") as file:
        return [spec_from_form(form) for form in lines_of(file)]


def _forked(database: Path) -> Fork:
    from dispatch_core.simulation import fork

    with copy_of(database) as storage:
        return fork(storage)


@contextmanager
def copy_of(database: Path) -> Iterator[Storage]:
    """A copy of the database, open: the original may be in use, and is not to be touched."""
    from dispatch_core.storage import backup_store, create_storage

    with tempfile.TemporaryDirectory(prefix="dispatch-what-if-") as folder:
        copy = Path(folder) / "copy.db"
        backup_store(database, copy)
        with closing(create_storage(copy)) as storage:
            yield storage


def _form(found: WhatIf) -> Mapping[str, Any]:
    from dispatch_core.simulation import measures

    ways: Sequence[tuple[str, Outcome]] = (("before", found.before), ("after", found.after))
    return {
        **{name: {"digest": each.digest(), **measures(each)} for name, each in ways},
        "jobs": [
            {
                "id": each.job_id,
                **_both("started_s", each.started_s),
                **_both("finished_s", each.finished_s),
                **_both("engine", each.engine),
                **_both("in_time", each.in_time),
                "moved_s": each.moved_s if None not in each.finished_s else None,
            }
            for each in found.shifts
        ],
        "added": [
            {"started_s": work.started_s, "finished_s": work.finished_s, "engine": work.engine}
            for work in found.after.works[len(found.shifts) :]
        ],
    }


def _both(name: str, values: tuple[object, object]) -> dict[str, object]:
    return {f"{name}_before": values[0], f"{name}_after": values[1]}
