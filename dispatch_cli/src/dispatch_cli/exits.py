"""How a command may end: the exit codes, and the errors that carry them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

import click
from attrs import frozen

from dispatch_cli.render.clean import clean


class ExitCode(IntEnum):
    """What a script can rely on."""

    OK = 0
    NEGATIVE = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    INVALID = 5
    UNAUTHORISED = 6
    UNAVAILABLE = 7
    DAMAGED = 8
    SCHEMA = 9
    IN_USE = 10
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS: Final[Mapping[ExitCode, str]] = MappingProxyType(
    {
        ExitCode.OK: "done",
        ExitCode.NEGATIVE: "the answer is negative, such as a job that was watched and failed",
        ExitCode.USAGE: "the command line or the configuration is wrong",
        ExitCode.NOT_FOUND: "no such job or engine",
        ExitCode.REFUSED: "the present state refuses it, or the record has changed",
        ExitCode.INVALID: "the input is not acceptable",
        ExitCode.UNAUTHORISED: "the key is missing, wrong, or may not do this",
        ExitCode.UNAVAILABLE: "the server or the store is not available, or asks to come back later",
        ExitCode.DAMAGED: "the database is damaged, or is none of Dispatch",
        ExitCode.SCHEMA: "the database has the schema of another version",
        ExitCode.IN_USE: "another process uses the database",
        ExitCode.INTERRUPTED: "interrupted",
    }
)

_BY_CODE: Final[Mapping[str, ExitCode]] = MappingProxyType(
    {
        "invalid-command": ExitCode.INVALID,
        "idempotency-key-reused": ExitCode.INVALID,
        "unknown-job": ExitCode.NOT_FOUND,
        "unknown-engine": ExitCode.NOT_FOUND,
        "unknown-window": ExitCode.NOT_FOUND,
        "unknown-pool": ExitCode.NOT_FOUND,
        "unknown-limit": ExitCode.NOT_FOUND,
        "unknown-campaign": ExitCode.NOT_FOUND,
        "unknown-key": ExitCode.NOT_FOUND,
        "forbidden": ExitCode.UNAUTHORISED,
        "ambiguous-id": ExitCode.REFUSED,
        "count-changed": ExitCode.REFUSED,
        "wrong-state": ExitCode.REFUSED,
        "lease-lost": ExitCode.REFUSED,
        "session-replaced": ExitCode.REFUSED,
        "version-mismatch": ExitCode.REFUSED,
        "limit-exceeded": ExitCode.UNAVAILABLE,
        "closed": ExitCode.UNAVAILABLE,
        "storage-damaged": ExitCode.DAMAGED,
        "schema-mismatch": ExitCode.SCHEMA,
        "storage-in-use": ExitCode.IN_USE,
    }
)
_BY_STATUS: Final[Mapping[int, ExitCode]] = MappingProxyType(
    {
        401: ExitCode.UNAUTHORISED,
        403: ExitCode.UNAUTHORISED,
        404: ExitCode.NOT_FOUND,
        409: ExitCode.REFUSED,
        412: ExitCode.REFUSED,
        429: ExitCode.UNAVAILABLE,
    }
)


def exit_code_of(code: str, status: int | None = None) -> ExitCode:
    """The exit code of an error's stable code, or of its HTTP status if the code says nothing.

    >>> exit_code_of("unknown-job").name, exit_code_of("", 415).name, exit_code_of("storage-in-use").name
    ('NOT_FOUND', 'INVALID', 'IN_USE')
    """
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status is None:
        return (
            ExitCode.UNAVAILABLE if code.startswith(("storage", "schema", "conflict")) else ExitCode.REFUSED
        )
    return _BY_STATUS.get(status, ExitCode.INVALID if 400 <= status < 500 else ExitCode.UNAVAILABLE)


@frozen
class Problem:
    """One thing wrong with one field, named by its JSON pointer."""

    pointer: str
    detail: str


class CommandFailure(Exception):  # noqa: N818  # most are refusals, not errors of this program
    """A command cannot be done. ``subject`` names the job or line concerned, where there are several."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        exit_code: ExitCode,
        problems: Sequence[Problem] = (),
        request_id: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.exit_code = exit_code
        self.problems = tuple(problems)
        self.request_id = request_id
        self.hint = hint
        self.subject = ""

    def form(self) -> dict[str, Any]:
        """The error as JSON data."""
        problems = [{"pointer": each.pointer, "detail": each.detail} for each in self.problems]
        told = {"subject": self.subject, "errors": problems, "request_id": self.request_id, "hint": self.hint}
        return {
            "code": self.code,
            "detail": self.message,
            **{name: each for name, each in told.items() if each},
        }

    def lines(self) -> list[str]:
        """The error as lines for people: the message, or every field's problem, then the hint."""
        if self.problems:
            lines = [f"{each.pointer or '/'} {each.detail}" for each in self.problems]
            if len(lines) > 1:
                lines = ["the input is not acceptable:", *(f"  {line}" for line in lines)]
        else:
            lines = [self.message]
        if self.subject:
            lines[0] = f"{self.subject}: {lines[0]}"
        if self.request_id and self.exit_code is ExitCode.UNAVAILABLE:
            lines.append(f"request {self.request_id}")
        return [*lines, *([self.hint] if self.hint else [])]

    def show(self, *, as_json: bool) -> None:
        """Say it on standard error: as lines, or as one JSON object."""
        if as_json:
            click.echo(json.dumps(self.form(), ensure_ascii=False), err=True)
            return
        for line in ["Error: " + self.lines()[0], *self.lines()[1:]]:
            click.echo(clean(line), err=True)


def negative(context: click.Context) -> None:
    """End with the exit code of a negative answer."""
    context.exit(ExitCode.NEGATIVE)


EXIT_CODES_HELP: Final = "\b\nExit codes:\n" + "\n".join(
    f"  {int(code):<4} {meaning}" for code, meaning in MEANINGS.items()
)
