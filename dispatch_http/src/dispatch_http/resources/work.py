"""Work: what engines do with jobs. Claim, renew, report."""

from __future__ import annotations

import falcon
from attrs import frozen

from dispatch_core import Renew as RenewCommand
from dispatch_core import ReportProgress
from dispatch_core.forms import claim_form, lease_form, lease_status_form, parse
from dispatch_http.answers import send, send_attempt
from dispatch_http.desk import Desk
from dispatch_http.forms import HeldToken, ReportedStatus, ShortForm, StatusReport, progress_report
from dispatch_http.parameters import Asked
from dispatch_http.problems import Refusal

_CLAIM_MAX = 100


@frozen
class NextJob:
    """The head of the queue, as one engine sees it."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Claim it: 201 with a lease, or 204 if there is nothing. With ``limit``, 201 with a list of leases.

        ``wait`` is how long the caller is ready to wait for work. If too many wait already, the answer
        comes at once, so a caller must be ready to be told "nothing" early.
        """
        asked = Asked(req, "engine_id", "session", "wait", "limit")
        engine_id = asked.required("engine_id", asked.engine_id())
        session = asked.required("session", asked.text("session"))
        wait_s = asked.seconds("wait", le=self.desk.settings.wait_max_s)
        several = req.has_param("limit")
        limit = asked.whole("limit", default=1, ge=1, le=_CLAIM_MAX)
        acting = self.desk.acting(req)
        with self.desk.gate.wait_place(wait_s) as granted_s:
            leases = acting.claim(engine_id, session=session, limit=limit, wait_s=granted_s)
        try:
            req.context.recheck()  # the key may have ended while it waited
        except Refusal:
            for each in leases:
                self.desk.asking(req).give_back(each, reason="the key ended while it waited for work")
            raise
        if not leases:
            resp.status = 204
            return
        lease = leases[0]
        resp.location = f"/jobs/{lease.job.id}/attempts/{lease.attempt}"
        cap = self.desk.dispatcher.settings.attempts_cap
        forms = [lease_form(each, attempts_cap=cap) for each in leases]
        send(resp, {"leases": forms} if several else forms[0], 201)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What a claim would see now. Changes nothing."""
        asked = Asked(req, "engine_id")
        engine_id = asked.required("engine_id", asked.engine_id())
        send(resp, claim_form(self.desk.asking(req).preview(engine_id)))


@frozen
class Status:
    """How an attempt ended."""

    desk: Desk

    def on_put(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Report it. A repeat gets the same answer."""
        Asked(req)
        report = parse(StatusReport, self.desk.body(req, clean=False))
        send_attempt(resp, self.desk.acting(req).execute(report.command(job_id)))

    on_patch = on_put


@frozen
class ShortReport:
    """The same report, its status said by the path."""

    desk: Desk
    status: ReportedStatus

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Report it. A repeat gets the same answer, in whichever form."""
        self.take(req, resp, job_id, self.desk.body(req, clean=False))

    def take(self, req: falcon.Request, resp: falcon.Response, job_id: str, data: object) -> None:
        """Report what the body says. Raises InvalidCommandError if it says a status, too."""
        Asked(req)
        report = parse(ShortForm, data).report(self.status)
        send_attempt(resp, self.desk.acting(req).execute(report.command(job_id)))


@frozen
class Progress:
    """How far an attempt is."""

    desk: Desk

    def on_put(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Report it, which also renews the lease."""
        Asked(req)
        held, progress = progress_report(self.desk.body(req))
        command = ReportProgress(job_id=job_id, token=held.token, engine_id=held.engine_id, progress=progress)
        send(resp, lease_status_form(self.desk.acting(req).execute(command)))


@frozen
class Renew:
    """The lease of an attempt."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Extend it."""
        Asked(req)
        held = parse(HeldToken, self.desk.body(req))
        command = RenewCommand(job_id=job_id, token=held.token, engine_id=held.engine_id)
        send(resp, lease_status_form(self.desk.acting(req).execute(command)))
