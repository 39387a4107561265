"""`dispatch engines …`."""

from __future__ import annotations

from typing import Final

import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.commands.job_filters import field_names
from dispatch_cli.examples import examples
from dispatch_cli.instants import utc_now
from dispatch_cli.parameter_types import INSTANT
from dispatch_cli.target import ENGINE_SORTS, EngineVerb, Form

_ids: Final = click.argument("engine_ids", metavar="ENGINE_ID…", nargs=-1, required=True)
_fields: Final = click.option("--fields", metavar="NAME,NAME…", help="Only these fields.")
_reason: Final = click.option("--reason", default="", metavar="TEXT", help="Why; it is kept and shown.")


@click.command("list")
@click.option("--left", is_flag=True, help="Engines that have left, too.")
@click.option(
    "--sort", type=click.Choice(ENGINE_SORTS), default="id", show_default=True, help="In this order."
)
@_fields
@calling
@examples(
    "dispatch engines list",
    "dispatch engines list --sort -last_seen",
    "dispatch engines list --left --json",
)
def list_engines(caller: Caller, left: bool, sort: str, fields: str | None) -> None:
    """List engines and what they run."""
    names = field_names(fields)
    page = caller.target().engines(left=left, sort=sort, fields=names)

    def people() -> None:
        from dispatch_cli.render.engines import show_engines
        from dispatch_cli.render.fields import show_fields

        if names:
            show_fields(names, page["engines"])
        else:
            show_engines(page, utc_now())

    caller.tell(page, people)


@click.command("show")
@click.argument("engine_id")
@_fields
@calling
@examples(
    "dispatch engines show rack-7",
    "dispatch engines show rack-7 --fields seen,wanted --json",
)
def show_engine(caller: Caller, engine_id: str, fields: str | None) -> None:
    """Show one engine."""
    names = field_names(fields)
    form = caller.target().engine(engine_id, fields=names)

    def people() -> None:
        from dispatch_cli.render.engines import show_engine
        from dispatch_cli.render.fields import show_fields

        if names:
            show_fields(names, [form])
        else:
            show_engine(form, utc_now())

    caller.tell(form, people)


def _steer(caller: Caller, engine_ids: tuple[str, ...], verb: EngineVerb, reason: str = "") -> None:
    target = caller.target()
    caller.each(engine_ids, lambda engine_id: target.steer(engine_id, verb, reason=reason), _now_wanted)


def _now_wanted(engine: Form) -> str:
    return f"{engine['id']}: {engine['wanted']['state']}, {len(engine['attempts'])} running"


@click.command("drain")
@_ids
@_reason
@calling
@examples(
    'dispatch engines drain rack-7 --reason "new disks"',
)
def drain_engines(caller: Caller, engine_ids: tuple[str, ...], reason: str) -> None:
    """Give engines no new work and send them home when done."""
    _steer(caller, engine_ids, "drain", reason)


@click.command("cordon")
@_ids
@_reason
@calling
@examples(
    'dispatch engines cordon rack-7 rack-8 --reason "odd noises"',
)
def cordon_engines(caller: Caller, engine_ids: tuple[str, ...], reason: str) -> None:
    """Give engines no new work.

    What they run goes on, and they stay.
    """
    _steer(caller, engine_ids, "cordon", reason)


@click.command("resume")
@_ids
@calling
@examples(
    "dispatch engines resume rack-7",
)
def resume_engines(caller: Caller, engine_ids: tuple[str, ...]) -> None:
    """Give engines work again."""
    _steer(caller, engine_ids, "resume")


@click.command("delete")
@_ids
@calling
@examples(
    "dispatch engines delete rack-7",
)
def delete_engines(caller: Caller, engine_ids: tuple[str, ...]) -> None:
    """Make engines leave.

    What they run ends at once as if its lease had run out. An engine that is alive must register again.
    """
    target = caller.target()
    caller.each(engine_ids, target.deregister, lambda engine: f"{engine['id']}: {engine['seen']}")


@click.command("maintain")
@click.argument("engine_ids", metavar="ENGINE_ID…", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="All engines.")
@click.option("--from", "begins_at", type=INSTANT, metavar="TIME", help="A time, or +2h from now [now].")
@click.option(
    "--until", "ends_at", type=INSTANT, metavar="TIME", required=True, help="A time, or +4h from now."
)
@_reason
@calling
@examples(
    'dispatch engines maintain rack-7 --from +1h --until +3h --reason "new disks"',
    'dispatch engines maintain --all --until +30m --reason "network"',
)
def maintain_engines(
    caller: Caller,
    engine_ids: tuple[str, ...],
    everyone: bool,
    begins_at: str | None,
    ends_at: str,
    reason: str,
) -> None:
    """Plan a time in which engines get no work.

    What they run goes on. Before it begins they get only jobs that should end in time, unless the server is told
    otherwise (`windows_finish_first`).
    """
    if bool(engine_ids) == everyone:
        raise click.UsageError("name engines, or say --all")
    target = caller.target()

    def plan(engine_id: str) -> Form:
        form = {"engine_id": engine_id or None, "ends_at": ends_at, "reason": reason}
        return target.plan_window(form if begins_at is None else form | {"begins_at": begins_at})

    caller.each(engine_ids or ("",), plan, _planned)


def _planned(window: Form) -> str:
    whom = window["engine_id"] or "all engines"
    return f"{window['id']}: {whom} from {window['begins_at']} until {window['ends_at']}"


@click.command("performance")
@click.argument("engine_id")
@calling
@examples("dispatch engines performance rack-7")
def show_performance(caller: Caller, engine_id: str) -> None:
    """Say how fast an engine completed its last jobs.

    By task class, in units of work (media seconds) per second, from grant to report; and the factor by which the
    estimates were off, 1 being exact.
    """
    form = caller.target().performance(engine_id)

    def people() -> None:
        from dispatch_cli.render.engines import show_speeds

        show_speeds(form["task_classes"])

    caller.tell(form, people)


@click.command("estimates")
@click.argument("engine_id", required=False)
@calling
@examples("dispatch engines estimates", "dispatch engines estimates rack-7 --json")
def show_estimates(caller: Caller, engine_id: str | None) -> None:
    """Say how long a unit of work should take on engines.

    By task class, in seconds per unit of work (media second): half of the runs should take less than p50, nine of ten
    less than p90. It comes from benchmarks, and is learned from runs; samples tells from how many, old ones counting less.
    """
    told = caller.target().estimates(engine_id)

    def people() -> None:
        from dispatch_cli.render.engines import show_rates

        show_rates(told["estimates"])

    caller.tell(told, people)


@click.command("preview")
@click.argument("engine_id")
@calling
@examples("dispatch engines preview rack-7")
def preview_claim(caller: Caller, engine_id: str) -> None:
    """Say what an engine would get if it asked now.

    The job it would be given and those after it, and how many of what waits it is refused, by reason. Changes nothing.
    """
    told = caller.target().preview(engine_id)

    def people() -> None:
        from dispatch_cli.render.explanations import show_preview

        show_preview(told)

    caller.tell(told, people)


@click.command("windows")
@calling
@examples("dispatch engines windows")
def list_windows(caller: Caller) -> None:
    """List maintenance windows that are not over."""
    page = caller.target().windows()

    def people() -> None:
        from dispatch_cli.render.engines import show_windows

        show_windows(page["windows"], utc_now())

    caller.tell(page, people)


@click.command("end-window")
@click.argument("window_ids", metavar="WINDOW_ID…", nargs=-1, required=True)
@calling
@examples("dispatch engines end-window WINDOW_ID")
def end_windows(caller: Caller, window_ids: tuple[str, ...]) -> None:
    """End maintenance windows now, or call them off."""
    caller.each(window_ids, caller.target().end_window, lambda window: f"{window['id']}: ended")
