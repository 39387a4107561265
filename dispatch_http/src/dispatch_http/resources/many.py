"""Many jobs at once: exports, and verbs for all jobs of a filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import attrs
import falcon
from attrs import frozen

from dispatch_core import BulkReport, FieldProblem, InvalidCommandError, Query
from dispatch_core.forms import (
    EVENT_FIELDS,
    JOB_FIELDS,
    bulk_form,
    filter_from_form,
    only,
    parse,
    recorded_form,
)
from dispatch_http.answers import send, send_lines
from dispatch_http.desk import Desk
from dispatch_http.forms import ManyJobs, ManyJobsBecause
from dispatch_http.listing import FILTERS, asked_filter, send_page
from dispatch_http.parameters import Asked, page_cursor, place_of

EXPORT_PAGE = 500
_ORDER = "created_at"


@frozen
class Export:
    """All jobs of a filter, one a line."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send them, oldest first."""
        asked = Asked(req, *FILTERS, "fields")
        fields = asked.fields(JOB_FIELDS)
        query = asked_filter(asked).query(limit=EXPORT_PAGE)
        jobs = self.desk.asking(req).export_jobs(query)
        send_lines(req, resp, (self.desk.job_form(job, fields) for job in jobs))


@frozen
class HistoryExport:
    """All events, one a line."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send them in the order in which they happened; ``cursor`` goes on behind an event seen before."""
        asked = Asked(req, "cursor", "fields")
        fields = asked.fields(EVENT_FIELDS)
        rows = self.desk.asking(req).export_events(asked.place(), page=EXPORT_PAGE)
        send_lines(req, resp, (only(recorded_form(row), fields) for row in rows))


@frozen
class EngineJobs:
    """The jobs an engine has or had last."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, engine_id: str) -> None:
        """A page of them: the same list as all jobs, with the engine as its filter."""
        self.desk.asking(req).engine(engine_id)
        send_page(req, resp, self.desk, engine_id)


@frozen
class ManyVerb:
    """A verb for all jobs of a filter: counted by a dry run, confirmed by the count."""

    desk: Desk
    verb: Callable[..., BulkReport]
    shape: ClassVar[type[ManyJobs]] = ManyJobs

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Count them, or do it to the next of them."""
        Asked(req)
        wish = parse(self.shape, self.desk.body(req))
        more = {"reason": wish.reason} if isinstance(wish, ManyJobsBecause) else {}
        report = self.verb(
            self.desk.acting(req),
            _query(wish),
            dry_run=wish.dry_run,
            expected=wish.expected,
            limit=wish.limit,
            **more,
        )
        cursor = report.next and page_cursor(_ORDER, report.next)
        send(resp, {"dry_run": wish.dry_run, **bulk_form(report), "next_cursor": cursor})


class ReasonedManyVerb(ManyVerb):
    """One that may be given a reason."""

    shape = ManyJobsBecause


def _query(wish: ManyJobs) -> Query:
    wanted = filter_from_form(wish.filter, "/filter")
    if not wanted.state:
        raise InvalidCommandError([FieldProblem("/filter/state", "name the states that are meant")])
    if wish.cursor is None:
        return wanted.query(_ORDER)
    place = place_of(wish.cursor, _ORDER)
    if place is None:
        raise InvalidCommandError([FieldProblem("/cursor", "is not a cursor of such a verb")])
    return attrs.evolve(wanted.query(_ORDER), after=place)
