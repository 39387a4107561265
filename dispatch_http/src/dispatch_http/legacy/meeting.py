"""Where both protocols have the same path: which one a request speaks.

It speaks the older one if it has a key in ``X-API-Key`` and asks for a job of the older fleet. Whoever has
such a key and wants the present form sends it as ``Authorization: Bearer``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import falcon
from attrs import frozen

from dispatch_core import Dispatcher, UnknownJobError
from dispatch_http.desk import Desk
from dispatch_http.forms import ReportedStatus
from dispatch_http.legacy import fleet
from dispatch_http.legacy.resources import JobProgress, JobVerb, OneJob, Report
from dispatch_http.resources import jobs, work


def speaks_older(req: falcon.Request, asking: Dispatcher, job_id: str) -> bool:
    """Whether to answer in the older shape. Raises UnknownJobError if the caller may see no other, and it is another."""
    if req.get_header("X-API-Key") is None:
        return False
    try:
        fleet.find(asking, job_id)
    except UnknownJobError:
        if req.context.fleet_only:
            raise
        return False
    return True


@frozen
class MeetOneJob:
    """``/jobs/{job_id}``: to be read in either shape."""

    desk: Desk
    present: jobs.OneJob

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Show it."""
        older = speaks_older(req, self.desk.asking(req), job_id)
        (OneJob(self.desk) if older else self.present).on_get(req, resp, job_id)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Edit it."""
        self.present.on_patch(req, resp, job_id)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Soft-delete it."""
        self.present.on_delete(req, resp, job_id)


@frozen
class MeetCancel:
    """``/jobs/{job_id}/cancel``: older callers are told at once that it is cancelled, for it is."""

    desk: Desk
    present: jobs.ReasonedJobVerb

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Cancel it."""
        older = speaks_older(req, self.desk.asking(req), job_id)
        (JobVerb(self.desk, fleet.cancel) if older else self.present).on_post(req, resp, job_id)


@frozen
class MeetReport:
    """``/jobs/{job_id}/complete`` and ``/fail``: with a token or without."""

    desk: Desk
    present: work.ShortReport

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Whoever names a token speaks the present protocol, whatever the job."""
        data = self.desk.body(req, clean=False)
        named = isinstance(data, Mapping) and "token" in data and not req.context.fleet_only
        (self.present if named else self._older()).take(req, resp, job_id, data)

    def _older(self) -> Report:
        completed = self.present.status is ReportedStatus.COMPLETED
        verb, told = (fleet.complete, "output_url") if completed else (fleet.fail, "error_message")
        return Report(self.desk, verb, told)


@frozen
class MeetProgress:
    """``/jobs/{job_id}/progress``: PUT with a token, POST without."""

    desk: Desk
    present: work.Progress

    def on_put(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """The present form."""
        self.present.on_put(req, resp, job_id)

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """The older form."""
        JobProgress(self.desk).on_post(req, resp, job_id)


MEETINGS: dict[str, Callable[..., object]] = {
    "/jobs/{job_id}": MeetOneJob,
    "/jobs/{job_id}/cancel": MeetCancel,
    "/jobs/{job_id}/complete": MeetReport,
    "/jobs/{job_id}/fail": MeetReport,
    "/jobs/{job_id}/progress": MeetProgress,
}
"""By path, what stands between the two protocols."""
