"""Submit the jobs of a file, a line each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Final

from dispatch_cli.caller import Caller
from dispatch_cli.exits import CommandFailure, ExitCode, Problem
from dispatch_cli.target import Target

LINE_CHARS_MAX: Final = 1_000_000
LINES_MAX: Final = 1_000_000


def submit_lines(
    caller: Caller, target: Target, lines: IO[str], key: str | None
) -> tuple[list[str], CommandFailure | None]:
    """Submit every line; the ids accepted, and the first failure.

    What is wrong with one line stops none of the others; a server that is away or refuses the key stops here
    (raises CommandFailure naming the line), and the same file and key may be submitted again.
    """
    accepted: list[str] = []
    first: CommandFailure | None = None
    for number, line in _numbered(lines):
        try:
            job = target.submit(_form(line), key=None if key is None else f"{key}#{number}")
        except CommandFailure as failure:
            failure.subject = f"line {number}"
            if failure.exit_code in (ExitCode.UNAVAILABLE, ExitCode.UNAUTHORISED):
                raise
            failure.show(as_json=caller.json)
            first = first or failure
        else:
            accepted.append(job["id"])
            caller.tell_line(job, f"{job['id']}")
    return accepted, first


def lines_of(lines: IO[str]) -> Iterator[dict[str, object]]:
    """The form on every line. Raises CommandFailure naming the first that holds none."""
    for number, line in _numbered(lines):
        try:
            yield _form(line)
        except CommandFailure as failure:
            failure.subject = f"line {number}"
            raise


def _numbered(lines: IO[str]) -> Iterator[tuple[int, str]]:
    """The lines with their numbers; empty ones are left out."""
    for number in range(1, LINES_MAX + 1):
        line = lines.readline(LINE_CHARS_MAX + 1)
        if not line:
            return
        if len(line) > LINE_CHARS_MAX:
            raise _invalid("", f"is longer than {LINE_CHARS_MAX} characters", f"line {number}")
        if line.strip():
            yield number, line
    raise _invalid("", f"a file may have {LINES_MAX} lines", "")


def _form(line: str) -> dict[str, object]:
    try:
        form = json.loads(line)
    except ValueError as error:
        raise _invalid("", f"is not JSON: {error}", "") from None
    if not isinstance(form, dict):
        raise _invalid("", "must be a JSON object", "")
    return form


def _invalid(pointer: str, detail: str, subject: str) -> CommandFailure:
    failure = CommandFailure(
        "invalid-command",
        detail,
        exit_code=ExitCode.INVALID,
        problems=[Problem(pointer, detail)] if pointer else (),
    )
    failure.subject = subject
    return failure
