"""Options that say which jobs, and which fields of them, shared by list and export; and ``--filter``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from dispatch_cli.instants import parse_instant, utc_now
from dispatch_cli.parameter_types import INSTANT
from dispatch_cli.target import STATES, JobQuery

F = TypeVar("F", bound=Callable[..., object])
TIMES: Final = ("created_since", "created_until", "updated_since", "updated_until")
_SEVERAL: Final = ("state", "kind", "engine", "account", "campaign", "tenant")

_FILTERS: Final = (
    click.option(
        "--state", "states", multiple=True, type=click.Choice(STATES), help="Only in this state (repeatable)."
    ),
    click.option("--kind", metavar="KIND", help="Only of this kind."),
    click.option("--engine", "engine_id", metavar="ENGINE_ID", help="Only of this engine."),
    click.option("--account", metavar="NAME", help="Only those charged to this account."),
    click.option("--campaign", metavar="NAME", help="Only of this campaign."),
    click.option("--tenant", metavar="TENANT", help="Only of this tenant."),
    click.option("--deleted", is_flag=True, help="Only those that are deleted."),
    click.option(
        "--created-since", type=INSTANT, metavar="TIME", help="Submitted then or later: a time, or -2h."
    ),
    click.option("--created-until", type=INSTANT, metavar="TIME", help="Submitted before then."),
    click.option("--updated-since", type=INSTANT, metavar="TIME", help="Changed then or later."),
    click.option("--updated-until", type=INSTANT, metavar="TIME", help="Changed before then."),
    click.option("--fields", metavar="NAME,NAME…", help="Only these fields of each."),
)


def job_filters(command: F) -> F:
    """The common options; hand them to ``job_query``."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def job_query(options: Mapping[str, Any], **order: Any) -> JobQuery:
    """The query that the common options ask for."""
    rest = {name: each for name, each in options.items() if name not in (*TIMES, "fields")}
    times = {name: options[name] for name in TIMES if options[name] is not None}
    return JobQuery(**rest, times=times, fields=field_names(options["fields"]), **order)


def field_names(text: str | None) -> tuple[str, ...]:
    """The names in a list with commas."""
    return tuple(text.split(",")) if text else ()


def filter_form(pairs: tuple[str, ...]) -> dict[str, object]:
    """The filter that ``NAME=VALUE`` texts make; commas separate values. Raises UsageError.

    >>> filter_form(("state=cancelled,completed", "kind=render"))
    {'state': ['cancelled', 'completed'], 'kind': ['render']}
    """
    form: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not value:
            raise click.UsageError(f"--filter {pair!r}: write NAME=VALUE, such as state=failed_permanently")
        if name in _SEVERAL:
            form.setdefault(name, []).extend(value.split(","))  # type: ignore[attr-defined]  # a list of ours
        else:
            form[name] = _instant(value) if name in TIMES else value
    return form


def _instant(text: str) -> str:
    try:
        return parse_instant(text, utc_now())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
