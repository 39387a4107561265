"""Requeue or cancel all jobs of a filter: counted first, confirmed by the count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from dispatch_cli.caller import Caller
from dispatch_cli.commands.job_filters import filter_form
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.target import Form, ManyVerb, Target

F = TypeVar("F", bound=Callable[..., object])
_DONE: Final[Mapping[ManyVerb, str]] = {"requeue": "Requeued", "cancel": "Cancelled"}

_OPTIONS: Final = (
    click.option("--filter", "pairs", multiple=True, metavar="NAME=VALUE",
                 help="All jobs that fit instead of JOB_ID: state (required), kind, engine, created_since … (repeatable)."),
    click.option("--dry-run", is_flag=True, help="With --filter: count the jobs, and change nothing."),
    click.option("--expected", type=int, metavar="N", help="With --filter: do it, if so many jobs fit."),
)  # fmt: skip


def many_options(command: F) -> F:
    """The options of a verb that takes a filter; hand them to ``wants_many`` and ``act_on_many``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wants_many(job_ids: tuple[str, ...], pairs: tuple[str, ...], dry_run: bool, expected: int | None) -> bool:
    """Whether a filter is meant and not ids. Raises UsageError if it cannot be told."""
    if bool(job_ids) is bool(pairs):
        raise click.UsageError("name each JOB_ID, or a --filter")
    if pairs and dry_run is (expected is not None):
        raise click.UsageError("look with --dry-run first, then say --expected N with the count it tells")
    if job_ids and (dry_run or expected is not None):
        raise click.UsageError("--dry-run and --expected belong to --filter")
    return bool(pairs)


def act_on_many(
    caller: Caller, verb: ManyVerb, pairs: tuple[str, ...], expected: int | None, **more: Any
) -> None:
    """Count the jobs of a filter, or change them call by call until all had their turn."""
    target = caller.target()
    wish = {"filter": filter_form(pairs), **more}
    if expected is None:
        told = target.act_on_many(verb, {**wish, "dry_run": True})
        caller.tell(
            told, lambda: click.echo(f"{told['count']} jobs fit; to {verb} them: --expected {told['count']}")
        )
        return
    told, failure = _all(target, verb, wish, expected)
    caller.tell(told, lambda: click.echo(f"{_DONE[verb]} {len(told['done'])} jobs"))
    for each in told["refused"]:
        refusal = CommandFailure(each["code"], each["detail"], exit_code=ExitCode.REFUSED)
        refusal.show(as_json=caller.json)
    if failure is not None:
        raise failure
    if told["refused"]:
        caller.context.exit(ExitCode.REFUSED)


def _all(
    target: Target, verb: ManyVerb, wish: Mapping[str, object], expected: int
) -> tuple[Form, CommandFailure | None]:
    """What all calls did together, and what stopped them after the first, if anything did."""
    told = target.act_on_many(verb, {**wish, "expected": expected})
    done, refused = list(told["done"]), list(told["refused"])
    failure = None
    while told["next_cursor"] is not None:
        further = {**wish, "expected": told["remaining"], "cursor": told["next_cursor"]}
        try:
            told = target.act_on_many(verb, further)
        except CommandFailure as stopped:
            failure = stopped
            break
        done += told["done"]
        refused += told["refused"]
    return {"count": expected, "done": done, "refused": refused}, failure
