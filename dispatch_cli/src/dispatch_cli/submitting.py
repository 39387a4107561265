"""Submit the jobs of a file, a line each."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

import click

from dispatch_cli.caller import Caller
from dispatch_cli.exits import CommandFailure, ExitCode, Problem
from dispatch_cli.target import Form, Target

LINE_CHARS_MAX: Final = 1_000_000
LINES_MAX: Final = 1_000_000
CHUNK_LINES: Final = 1_000
CHUNK_CHARS: Final = 4_000_000


def submit_lines(
    caller: Caller, target: Target, lines: IO[str], key: str | None
) -> tuple[list[str], CommandFailure | None]:
    """Submit every line, up to 1,000 at a time; the ids accepted, and the first failure.

    What is wrong with one line stops none of the others; a server that is away or refuses the key stops here
    (raises CommandFailure naming the line), and the same file and key may be submitted again.
    """
    accepted: list[str] = []
    first: CommandFailure | None = None
    with _bar(caller, lines) as bar:
        for chunk in _chunks(_numbered(lines)):
            for number, answer in _answers(target, chunk, key):
                if not isinstance(answer, CommandFailure):
                    accepted.append(answer["id"])
                    caller.tell_line(answer, f"{answer['id']}")
                    continue
                answer.subject = f"line {number}"
                if answer.exit_code in (ExitCode.UNAVAILABLE, ExitCode.UNAUTHORISED):
                    raise answer
                answer.show(as_json=caller.json)
                first = first or answer
            bar.update(sum(len(line.encode()) for _, line in chunk))
    return accepted, first


def _bar(caller: Caller, lines: IO[str]) -> Any:
    """How far it is, where somebody watches who does not see the ids go by; nothing elsewhere."""
    watched = sys.stderr.isatty() and not sys.stdout.isatty() and not caller.json
    try:
        length = os.fstat(lines.fileno()).st_size if watched else 0
    except OSError:
        length = 0
    return click.progressbar(length=length, label="Submitting", file=sys.stderr, hidden=not length)


Numbered = tuple[int, str]


def _chunks(numbered: Iterator[Numbered]) -> Iterator[list[Numbered]]:
    """The lines in portions that one request carries."""
    chunk: list[Numbered] = []
    size = 0
    for number, line in numbered:
        chunk.append((number, line))
        size += len(line)
        if len(chunk) == CHUNK_LINES or size >= CHUNK_CHARS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _answers(
    target: Target, chunk: Sequence[Numbered], key: str | None
) -> Iterator[tuple[int, Form | CommandFailure]]:
    forms: dict[int, Form] = {}
    failures: dict[int, CommandFailure] = {}
    for number, line in chunk:
        try:
            forms[number] = _form(line)
        except CommandFailure as failure:
            failures[number] = failure
    start = chunk[0][0]
    try:
        own = None if key is None else f"{key}#{start}"
        answers = target.submit_each(list(forms.values()), key=own) if forms else ()
    except CommandFailure as failure:
        failure.subject = f"line {start}"
        raise
    told = failures | dict(zip(forms, answers, strict=True))
    yield from sorted(told.items())


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
