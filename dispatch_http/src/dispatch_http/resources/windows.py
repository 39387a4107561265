"""Maintenance windows: times in which engines get no work."""

from __future__ import annotations

import falcon
from attrs import frozen

from dispatch_core.forms import TIMES, WINDOW_FIELDS, only, parse, parse_instant, pointing_at, window_form
from dispatch_http.answers import send
from dispatch_http.desk import Desk
from dispatch_http.forms import Plan
from dispatch_http.parameters import Asked


@frozen
class Windows:
    """All windows of the tenant."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List those that are not over."""
        fields = Asked(req, "fields").fields(WINDOW_FIELDS)
        send(
            resp,
            {"windows": [only(window_form(each), fields) for each in self.desk.asking(req).windows.list()]},
        )

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Plan one."""
        Asked(req)
        acting = self.desk.acting(req)
        plan = parse(Plan, self.desk.body(req))
        from_us = 0 if plan.begins_at is None else parse_instant(plan.begins_at, "/begins_at")
        until_us = parse_instant(plan.ends_at, "/ends_at")
        with pointing_at(TIMES):
            window = acting.windows.plan(
                plan.engine_id, from_us=from_us, until_us=until_us, reason=plan.reason
            )
        resp.location = f"/windows/{window.id}"
        send(resp, window_form(window), 201)


@frozen
class OneWindow:
    """A single one."""

    desk: Desk

    def on_delete(self, req: falcon.Request, resp: falcon.Response, window_id: str) -> None:
        """End it now, or call it off."""
        Asked(req)
        send(resp, window_form(self.desk.acting(req).windows.end(window_id)))
