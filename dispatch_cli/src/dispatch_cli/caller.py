"""Who calls and how they want the answer: the options every command has, and what is made of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import update_wrapper
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click
from attrs import frozen

from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.opening import Connection, open_target
from dispatch_cli.parameter_types import DURATION
from dispatch_cli.servers import Servers
from dispatch_cli.target import Form, Target

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_URL: Final = "http://127.0.0.1:8080"
TIMEOUT_S: Final = 30.0
KEY_BYTES_MAX: Final = 4_096
_KEPT: Final = "dispatch_cli.caller"


@frozen(kw_only=True)
class Caller:
    """The target and the output that the command line asks for."""

    context: click.Context
    connection: Connection
    json: bool

    def target(self, *, create: bool = False) -> Target:
        """The target, closed when the command ends. ``create`` lets a local database begin."""
        return self.context.find_root().with_resource(closing(open_target(self.connection, create=create)))

    def tell(self, form: object, render: Callable[[], None]) -> None:
        """Print the form with ``--json``, else let ``render`` print it for people."""
        if self.json:
            click.echo(json.dumps(form, indent=2, ensure_ascii=False))
        else:
            render()

    def tell_line(self, form: object, line: str) -> None:
        """Print the form on one line with ``--json``, else the line."""
        click.echo(json.dumps(form, ensure_ascii=False) if self.json else line)

    def each(self, names: tuple[str, ...], act: Callable[[str], Form], line: Callable[[Form], str]) -> None:
        """Act on each of several things and say so; a refusal stops none of the others.

        Ends with the exit code of the first refusal.
        """
        first: CommandFailure | None = None
        for name in names:
            try:
                form = act(name)
            except CommandFailure as failure:
                if len(names) == 1 or failure.exit_code in (ExitCode.UNAVAILABLE, ExitCode.UNAUTHORISED):
                    raise
                failure.subject = name
                failure.show(as_json=self.json)
                first = first or failure
            else:
                self.tell_line(form, line(form))
        if first is not None:
            self.context.exit(first.exit_code)


def calling(command: Callable[Concatenate[Caller, P], T]) -> Callable[P, T]:
    """Give a command its ``Caller`` as the first argument, and itself the options that make it."""

    def with_caller(*arguments: P.args, **options: P.kwargs) -> T:
        return command(_caller(click.get_current_context()), *arguments, **options)

    return connection_options(update_wrapper(with_caller, command))


def connection_options(command: Callable[P, T]) -> Callable[P, T]:
    """The options of the connection; they may stand before or after the name of the command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wants_json(context: click.Context) -> bool:
    """Whether ``--json`` was given."""
    return bool(context.meta.get(_KEPT, {}).get("json"))


def kept_option(context: click.Context, name: str) -> Any:
    """What an option of the connection said, wherever it stood; None if it was not given."""
    return context.meta.get(_KEPT, {}).get(name)


def read_key_file(path: Path) -> str:
    """The key on the first line of a file. Raises CommandFailure."""
    try:
        with path.open(encoding="utf-8") as file:
            key = file.readline(KEY_BYTES_MAX).strip()
    except (OSError, ValueError) as error:
        raise CommandFailure(
            "key-file", f"cannot read the key's file: {error}", exit_code=ExitCode.USAGE
        ) from None
    if not key:
        raise CommandFailure("key-file", f"{path} holds no key", exit_code=ExitCode.USAGE)
    return key


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Remember an option that was given; nearer to the end of the line wins."""
    if value not in (None, False, ()):
        context.meta.setdefault(_KEPT, {})[parameter.name] = value
    return value


_OPTIONS: Final = (
    click.option("--url", metavar="URL", multiple=True, expose_value=False, callback=_keep,
                 help=f"The server; repeat it for others of one store to fail over to [DISPATCH_URL; {DEFAULT_URL}]."),
    click.option("--database", metavar="PATH|URL", expose_value=False, callback=_keep,
                 help="Work on a local database instead of a server."),
    click.option("--api-key-file", metavar="PATH", expose_value=False, callback=_keep,
                 type=click.Path(dir_okay=False, path_type=Path),
                 help="A file that holds the API key [DISPATCH_API_KEY holds the key itself]."),
    click.option("--timeout", metavar="DURATION", type=DURATION, expose_value=False, callback=_keep,
                 help=f"Give up on a request after this long, repeats included [{TIMEOUT_S:.0f}s]."),
    click.option("--json", is_flag=True, expose_value=False, callback=_keep,
                 help="Print JSON on standard output, and nothing else there."),
)  # fmt: skip


def _caller(context: click.Context) -> Caller:
    kept: Mapping[str, Any] = context.meta.get(_KEPT, {})
    if kept.get("url") and kept.get("database"):
        raise click.UsageError("--url and --database exclude each other")
    connection = Connection(
        servers=_servers(kept.get("url", ())),
        database=kept.get("database"),
        api_key=_api_key(kept.get("api_key_file")),
        timeout_s=kept.get("timeout", TIMEOUT_S),
    )
    return Caller(context=context, connection=connection, json=wants_json(context))


def _servers(named: Sequence[str]) -> Servers:
    """Those named on the command line, else by the environment, else the one that usually runs here."""
    by_environment = os.environ.get("DISPATCH_URL", "").strip(", ")
    return Servers.parse(*(named or [by_environment or DEFAULT_URL]))


def _api_key(file: Path | None) -> str | None:
    if file is None and os.environ.get("DISPATCH_API_KEY"):
        return os.environ["DISPATCH_API_KEY"].strip()
    named = file or os.environ.get("DISPATCH_API_KEY_FILE")
    return None if not named else read_key_file(Path(named))
