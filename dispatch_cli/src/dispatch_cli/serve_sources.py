"""Where each setting in force comes from, and which variables were meant as settings and are none."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from dispatch_cli.serve_settings import CONFIG_VARIABLE, PREFIX
from dispatch_http.logs import redact
from dispatch_http.settings import KEY_VARIABLE

# What the program reads beside the settings of the server.
_OTHERS: Final = frozenset(
    {CONFIG_VARIABLE, KEY_VARIABLE, "DISPATCH_URL", "DISPATCH_DATABASE", "DISPATCH_FFMPEG"}
)


@frozen(kw_only=True)
class Sourced:
    """A setting, its value with passwords hidden, and who said so: default, file, environment or flag."""

    name: str
    value: object
    source: str
    place: str = ""


def sourced(
    flat: Mapping[str, object],
    *,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    files: Sequence[Path],
) -> Iterator[Sourced]:
    """Every setting in force with its source: the last of file, environment and flags that names it."""
    in_files = {name: path for path in files if path.is_file() for name in _names(path)}
    for name, value in flat.items():
        shown = hidden(value)
        if name in flags:
            source, place = "flag", "--log-format" if name == "log_json" else _flag(name)
        elif variable(name) in environ:
            source, place = "environment", variable(name)
        elif name in in_files:
            source, place = "file", str(in_files[name])
        else:
            source, place = "default", ""
        yield Sourced(name=name, value=shown, source=source, place=place)


def hidden(value: object) -> object:
    """A value without the passwords in it.

    >>> hidden("postgresql+psycopg://me:secret@db/farm")
    'postgresql+psycopg://me:***@db/farm'
    """
    return redact(None, "", {"value": value})["value"]


def shown_password(flags: Mapping[str, object]) -> list[str]:
    """A line of warning if a password stands on the command line, where every user of the machine reads it."""
    if hidden(database := flags.get("database")) == database:
        return []
    return [
        "everybody on this machine can read the password in --database: put it into DISPATCH_DATABASE, or ~/.pgpass"
    ]


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def strays(environ: Mapping[str, str], known: Mapping[str, object]) -> list[str]:
    """A line of warning for each DISPATCH_ variable that nothing reads; values are not told."""
    variables = {variable(name) for name in known} | _OTHERS
    unknown = sorted(
        name
        for name in environ
        if name.startswith(PREFIX) and not name.startswith("DISPATCH_TEST") and name not in variables
    )
    return [_stray(name, variables) for name in unknown]


def _stray(name: str, variables: set[str]) -> str:
    close = difflib.get_close_matches(name, variables, n=1)
    return f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else "")


def _names(path: Path) -> list[str]:
    with path.open("rb") as file:
        return [name.replace("-", "_") for name in tomllib.load(file)]


def _flag(name: str) -> str:
    return "--" + name.removesuffix("_bytes").replace("_", "-")
