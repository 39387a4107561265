"""`dispatch jobs cancel|requeue|hold|release|assign|delete|restore|purge`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.commands.job_many import act_on_many, many_options, wants_many
from dispatch_cli.examples import examples
from dispatch_cli.parameter_types import DURATION, INSTANT
from dispatch_cli.target import Form, JobVerb

_ids: Final = click.argument("job_ids", metavar="JOB_ID…", nargs=-1, required=True)
_ids_or_filter: Final = click.argument("job_ids", metavar="[JOB_ID…]", nargs=-1)
_reason: Final = click.option("--reason", default="", metavar="TEXT", help="Why; it is kept and shown.")


def _act(
    caller: Caller, job_ids: tuple[str, ...], verb: JobVerb, body: Mapping[str, object] | None = None
) -> None:
    target = caller.target()
    caller.each(job_ids, lambda job_id: target.act(job_id, verb, body), _line)


def _line(job: Form) -> str:
    beside = [
        word
        for word, holds in (
            ("held", job["hold"]),
            ("cancel asked for", job["cancel_requested"]),
            ("deleted", job["deleted_at"]),
        )
        if holds
    ]
    return f"{job['id']}: {', '.join([job['state'], *beside])}"


@click.command("cancel")
@_ids_or_filter
@many_options
@_reason
@calling
@examples(
    'dispatch jobs cancel JOB_ID --reason "wrong preset"',
    "dispatch jobs cancel --filter state=pending,delayed --filter kind=render --dry-run",
)
def cancel_jobs(
    caller: Caller,
    job_ids: tuple[str, ...],
    pairs: tuple[str, ...],
    dry_run: bool,
    expected: int | None,
    reason: str,
) -> None:
    """Stop jobs.

    A waiting job stops at once. The engine of a running one is asked to stop it.
    """
    if wants_many(job_ids, pairs, dry_run, expected):
        act_on_many(caller, "cancel", pairs, expected, reason=reason)
    else:
        _act(caller, job_ids, "cancel", {"reason": reason})


@click.command("requeue")
@_ids_or_filter
@many_options
@calling
@examples(
    "dispatch jobs requeue JOB_ID",
    "dispatch jobs requeue --filter state=failed_permanently --filter updated_since=-2h --dry-run",
    "dispatch jobs requeue --filter state=failed_permanently --filter updated_since=-2h --expected 12",
)
def requeue_jobs(
    caller: Caller, job_ids: tuple[str, ...], pairs: tuple[str, ...], dry_run: bool, expected: int | None
) -> None:
    """Run ended or failing jobs again.

    Attempts are counted from zero, and their numbers go on.
    """
    if wants_many(job_ids, pairs, dry_run, expected):
        act_on_many(caller, "requeue", pairs, expected)
    else:
        _act(caller, job_ids, "requeue")


@click.command("hold")
@_ids
@_reason
@calling
@examples(
    'dispatch jobs hold JOB_ID --reason "waits for the subtitles"',
)
def hold_jobs(caller: Caller, job_ids: tuple[str, ...], reason: str) -> None:
    """Keep jobs from being granted.

    A running job goes on; the hold concerns its next grant.
    """
    _act(caller, job_ids, "hold", {"reason": reason})


@click.command("release")
@_ids
@calling
@examples(
    "dispatch jobs release JOB_ID",
)
def release_jobs(caller: Caller, job_ids: tuple[str, ...]) -> None:
    """End the hold of jobs."""
    _act(caller, job_ids, "release")


@click.command("assign")
@click.argument("job_id")
@click.argument("engine_id", required=False)
@click.option("--none", "nobody", is_flag=True, help="End the pin.")
@click.option("--until", type=INSTANT, metavar="TIME", help="Let it go again then: a time, or +2h.")
@_reason
@calling
@examples(
    'dispatch jobs assign JOB_ID rack-7 --until +2h --reason "has the source on its disk"',
    "dispatch jobs assign JOB_ID --none",
)
def assign_job(
    caller: Caller, job_id: str, engine_id: str | None, nobody: bool, until: str | None, reason: str
) -> None:
    """Pin a job to an engine.

    Its next grant goes to that engine only, which must be able to run it.
    """
    if (engine_id is None) is not nobody:
        raise click.UsageError("name an ENGINE_ID, or --none to end the pin")
    body: dict[str, object] = {"engine_id": engine_id, "reason": reason}
    if until is not None:
        body["until"] = until
    _act(caller, (job_id,), "assign", body)


@click.command("delete")
@_ids
@calling
@examples(
    "dispatch jobs delete JOB_ID",
)
def delete_jobs(caller: Caller, job_ids: tuple[str, ...]) -> None:
    """Delete jobs softly.

    They leave every view, and can be restored. A waiting job is cancelled first, a running one refused.
    """
    target = caller.target()
    caller.each(job_ids, target.delete, _line)


@click.command("restore")
@_ids
@calling
@examples(
    "dispatch jobs restore JOB_ID",
)
def restore_jobs(caller: Caller, job_ids: tuple[str, ...]) -> None:
    """Undo the deletion of jobs.

    Nothing is queued by this; see requeue.
    """
    _act(caller, job_ids, "restore")


@click.command("purge")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option(
    "--older-than",
    type=DURATION,
    metavar="DURATION",
    help="Those that have not changed for so long [as the settings say].",
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["completed", "failed_permanently", "cancelled", "deleted"]),
    help="With --older-than: only those that ended so; may be repeated.",
)
@calling
@examples(
    "dispatch jobs purge --dry-run",
    "dispatch jobs purge --older-than 30d --state completed --dry-run",
)
def purge_jobs(caller: Caller, dry_run: bool, older_than: float | None, states: tuple[str, ...]) -> None:
    """Remove ended jobs for good.

    They go with their attempts and their history; one row says that they were there, and the counts keep them. The server
    does so by itself, by its settings retain_…_s. Nothing brings them back but a backup.
    """
    if states and older_than is None:
        raise click.UsageError("--state needs --older-than")
    told = caller.target().purge({"dry_run": dry_run, "older_than_s": older_than, "states": list(states)})
    counts = ", ".join(f"{count} {state}" for state, count in told["counts"].items() if count)
    verb = "would be purged" if dry_run else "purged"
    again = "; there are more: run it again" if told["more"] else ""
    caller.tell_line(told, f"{told['total']} jobs {verb}{f' ({counts})' if counts else ''}{again}")
