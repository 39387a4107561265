"""Many jobs in one request: a list, all or nothing, or lines, each for itself and a bounded number in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import islice

import falcon

from dispatch_core import (
    Dispatcher,
    DispatchError,
    FieldProblem,
    InvalidCommandError,
    Job,
    JobSpec,
    SubmitEach,
    Submitted,
)
from dispatch_core.forms import Form, spec_from_form
from dispatch_http import problems
from dispatch_http.body import checked, lines
from dispatch_http.desk import Desk
from dispatch_http.problems import Refusal

LIST_MAX = 1_000
"""Jobs of a list, and lines that are submitted together."""
PROBLEMS_MAX = 100
Parsed = JobSpec | Refusal | DispatchError


def submitted_list(acting: Dispatcher, forms: Sequence[object]) -> list[Job]:
    """Accept all of them or none. Raises InvalidCommandError that names every field, such as ``/3/priority``."""
    if not 1 <= len(forms) <= LIST_MAX:
        message = f"must have from 1 to {LIST_MAX} jobs; send more as application/x-ndjson, a job a line"
        raise InvalidCommandError([FieldProblem("", message)])
    parsed = [_spec(form, acting, f"/{index}") for index, form in enumerate(forms)]
    refused = [
        problem for each in parsed if isinstance(each, InvalidCommandError) for problem in each.problems
    ]
    if refused:
        raise InvalidCommandError(refused[:PROBLEMS_MAX])
    try:
        return acting.submit_many([each for each in parsed if isinstance(each, JobSpec)])
    except InvalidCommandError as error:  # of a single one the core says no place
        raise (_below("/0", error) if len(forms) == 1 else error) from None


def _spec(form: object, acting: Dispatcher, path: str = "") -> JobSpec | InvalidCommandError:
    try:
        return spec_from_form(form, priority=acting.settings.priority_default)
    except InvalidCommandError as error:
        return _below(path, error)


def _below(path: str, error: InvalidCommandError) -> InvalidCommandError:
    return InvalidCommandError([FieldProblem(path + each.path, each.message) for each in error.problems])


def submitted_lines(req: falcon.Request, desk: Desk, fields: Sequence[str]) -> Iterator[Form]:
    """One form for each line that is not empty: its number, a status, and the job or the problem.

    Lines are submitted in chunks of 1,000, each in one commit; what is wrong with one keeps no other back.
    """
    numbered = lines(req, desk.settings)
    chunks = enumerate(iter(lambda: list(_some(numbered)), []), 1)
    return (answer for n, chunk in chunks for answer in _answers(req, desk, fields, str(n), chunk))


def _some(numbered: Iterator[tuple[int, bytes | None]]) -> Iterator[tuple[int, bytes | None | Refusal]]:
    """The next lines that belong together. A body that is too large ends in a line that says so."""
    last = 0
    try:
        for last, line in islice(numbered, LIST_MAX):
            yield last, line
    except Refusal as refusal:
        yield last + 1, refusal


def _answers(
    req: falcon.Request,
    desk: Desk,
    fields: Sequence[str],
    part: str,
    chunk: Sequence[tuple[int, bytes | None | Refusal]],
) -> Iterator[Form]:
    acting = desk.acting_part(req, part)
    parsed = {number: _parsed(line, acting, desk) for number, line in chunk}
    specs = {n: each for n, each in parsed.items() if isinstance(each, JobSpec)}
    found = _submitted(req, acting, specs, first=part == "1")
    for number, each in parsed.items():
        answer = found[number] if isinstance(each, JobSpec) else each
        if isinstance(answer, Job):
            yield {"line": number, "status": 201, "job": desk.job_form(answer, fields)}
        else:
            problem = problems.of(answer)
            yield {"line": number, "status": problem.status, "problem": problem.form(None)}


def _parsed(line: bytes | None | Refusal, acting: Dispatcher, desk: Desk) -> Parsed:
    if isinstance(line, Refusal):
        return line
    if line is None:
        most = desk.settings.body_bytes_max
        return Refusal("content-too-large", f"a line may have at most {most} bytes")
    try:
        return _spec(checked(line, desk.settings.json_depth_max), acting)
    except Refusal as refusal:
        return refusal


def _submitted(
    req: falcon.Request, acting: Dispatcher, specs: Mapping[int, JobSpec], *, first: bool
) -> Mapping[int, Job | Refusal | DispatchError]:
    """What became of each; what refuses the chunk refuses every line of it.

    Of the first nothing has been answered yet: if the server cannot, that is raised and so the answer to the request,
    which callers repeat, at another server if there is one.
    """
    if not specs:
        return {}
    try:
        req.context.recheck()  # the key may have ended since the request began
        answers: Sequence[Submitted] = acting.execute(SubmitEach(specs=tuple(specs.values())))
    except (Refusal, DispatchError) as error:
        if first and problems.of(error).status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return dict.fromkeys(specs, error)
    pairs = zip(specs, answers, strict=True)
    return {number: each.job or InvalidCommandError(each.problems) for number, each in pairs}
