"""Jobs: submit, list, show, edit, and everything people do with them."""

from __future__ import annotations

from collections.abc import Callable

import falcon
from attrs import frozen

from dispatch_core import Job
from dispatch_core.forms import (
    ATTEMPT_FIELDS,
    EVENT_FIELDS,
    JOB_FIELDS,
    attempt_form,
    edit_from_form,
    explanation_form,
    names_used,
    only,
    parse,
    parse_instant,
    pointing_at,
    recorded_form,
    spec_from_form,
)
from dispatch_http.answers import LINES_TYPE, send, send_attempt, send_job, send_lines
from dispatch_http.body import media_type
from dispatch_http.desk import Desk
from dispatch_http.forms import Assignment, Because, Nothing
from dispatch_http.headers import if_version, unchanged
from dispatch_http.listing import page_limit, send_page
from dispatch_http.parameters import Asked
from dispatch_http.problems import Refusal
from dispatch_http.submitting import submitted_lines, submitted_list


@frozen
class Jobs:
    """The collection."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Submit one; or a list, all or nothing; or lines, each for itself."""
        fields = Asked(req, "fields").fields(JOB_FIELDS)
        if media_type(req) == LINES_TYPE:
            send_lines(req, resp, submitted_lines(req, self.desk, fields))
            return
        acting = self.desk.acting(req)
        data = self.desk.body(req)
        if isinstance(data, list):
            jobs = submitted_list(acting, data)
            send(resp, {"jobs": [self.desk.job_form(job, fields) for job in jobs]})
            return
        job = acting.submit(spec_from_form(data, priority=acting.settings.priority_default))
        resp.location = f"/jobs/{job.id}"
        send_job(resp, self.desk, job, 201, fields)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A page of them."""
        send_page(req, resp, self.desk)


@frozen
class OneJob:
    """A single one."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Show it, unless the caller has this version already."""
        fields = Asked(req, "fields").fields(JOB_FIELDS)
        job = self.desk.asking(req).job(job_id)
        if unchanged(req, job.version):
            resp.status, resp.etag = 304, str(job.version)
        else:
            send_job(resp, self.desk, job, fields=fields)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Edit it (merge patch), if it is still at the version that If-Match names."""
        Asked(req)
        acting = self.desk.acting(req, conditional=True)
        data = self.desk.body(req)
        edit = edit_from_form(data)
        with pointing_at(names_used(data)):
            job = acting.update(job_id, edit, if_version=if_version(req))
        send_job(resp, self.desk, job)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Soft-delete it."""
        Asked(req)
        send_job(resp, self.desk, self.desk.acting(req).delete(job_id))


@frozen
class JobVerb:
    """A verb that takes no arguments."""

    desk: Desk
    verb: Callable[..., Job]

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Do it."""
        Asked(req)
        parse(Nothing, self.desk.body(req))
        send_job(resp, self.desk, self.verb(self.desk.acting(req), job_id))


@frozen
class ReasonedJobVerb:
    """A verb that may be given a reason."""

    desk: Desk
    verb: Callable[..., Job]

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Do it."""
        Asked(req)
        because = parse(Because, self.desk.body(req))
        send_job(resp, self.desk, self.verb(self.desk.acting(req), job_id, reason=because.reason))


@frozen
class Assign:
    """The operator's wish who gets it next."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Pin it, or unpin it."""
        Asked(req)
        wish = parse(Assignment, self.desk.body(req))
        until = None if wish.until is None else parse_instant(wish.until, "/until")
        acting = self.desk.acting(req)
        send_job(resp, self.desk, acting.assign(job_id, wish.engine_id, until_us=until, reason=wish.reason))


@frozen
class History:
    """What became of it."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """A page of its events, oldest first."""
        asked = Asked(req, "cursor", "limit", "fields")
        limit, fields = page_limit(asked, self.desk), asked.fields(EVENT_FIELDS)
        rows = self.desk.asking(req).history(job_id, after=asked.place(), limit=limit)
        events = [recorded_form(row) for row in rows]
        following = events[-1]["cursor"] if len(events) == limit else None
        send(resp, {"events": [only(event, fields) for event in events], "next_cursor": following})


@frozen
class Attempts:
    """Every grant it had."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """All of them, first to last."""
        fields = Asked(req, "fields").fields(ATTEMPT_FIELDS)
        attempts = self.desk.asking(req).attempts(job_id)
        send(resp, {"attempts": [only(attempt_form(attempt), fields) for attempt in attempts]})


@frozen
class OneAttempt:
    """A single grant."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str, number: str) -> None:
        """Show it."""
        Asked(req)
        for attempt in self.desk.asking(req).attempts(job_id):
            if attempt.number == int(number):
                return send_attempt(resp, attempt)
        raise Refusal("unknown-attempt", f"{job_id} has no attempt {number}")


@frozen
class Explain:
    """Why it is where it is."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Every engine's answer, or that of one."""
        asked = Asked(req, "engine_id")
        send(resp, explanation_form(self.desk.asking(req).explain(job_id, asked.engine_id())))
