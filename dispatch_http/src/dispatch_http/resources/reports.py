"""Many reports of an engine in one request."""

from __future__ import annotations

from collections.abc import Sequence

import falcon
from attrs import frozen

from dispatch_core import Attempt, DispatchError, FieldProblem, InvalidCommandError, LeaseStatus
from dispatch_core.forms import Form, attempt_form, lease_status_form, parse
from dispatch_http import problems
from dispatch_http.answers import send
from dispatch_http.desk import Desk
from dispatch_http.forms import REPORTS_MAX, JobReport, ManyReports, ReportCommand
from dispatch_http.grammar import JOB_ID
from dispatch_http.parameters import Asked


@frozen
class Reports:
    """What an engine says of the jobs it has."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response, engine_id: str) -> None:
        """Take each for itself, all in one commit; the answers stand in the order of the reports."""
        Asked(req)
        acting = self.desk.acting(req)
        forms = _forms(self.desk.body(req, clean=False))
        self.desk.asking(req).engine(
            engine_id
        )  # that of another tenant, or of a key's other engine, is no place to report
        commands = [_command(form, engine_id) for form in forms]
        fit = [each for each in commands if not isinstance(each, InvalidCommandError)]
        answers = iter(acting.execute_many(fit))
        told = [each if isinstance(each, InvalidCommandError) else next(answers) for each in commands]
        send(resp, {"reports": [_answer(*each) for each in zip(forms, told, strict=True)]})


def _forms(data: object) -> Sequence[object]:
    """The reports as they were sent. Raises InvalidCommandError if it is no list of them."""
    forms = data.get("reports") if isinstance(data, dict) and data.keys() == {"reports"} else None
    if not isinstance(forms, list):
        parse(ManyReports, data)  # says what is wrong around them
    if not isinstance(forms, list) or not 1 <= len(forms) <= REPORTS_MAX:
        raise InvalidCommandError([FieldProblem("/reports", f"must have from 1 to {REPORTS_MAX} items")])
    return forms


def _command(form: object, engine_id: str) -> ReportCommand | InvalidCommandError:
    try:
        return parse(JobReport, form).command(engine_id)
    except InvalidCommandError as error:
        return error


def _answer(form: object, answer: Attempt | LeaseStatus | DispatchError) -> Form:
    named = form.get("job_id") if isinstance(form, dict) else None
    known = isinstance(named, str) and JOB_ID.fullmatch(named)
    told: Form = {"job_id": named if known else None, "status": 200}
    if isinstance(answer, Attempt):
        return told | {"attempt": attempt_form(answer)}
    if isinstance(answer, LeaseStatus):
        return told | {"lease": lease_status_form(answer)}
    problem = problems.of(answer)
    return told | {"status": problem.status, "problem": problem.form(None)}
