"""Campaigns: how far the jobs that belong together have come."""

from __future__ import annotations

import falcon
from attrs import frozen

from dispatch_core.forms import campaign_form
from dispatch_http.answers import send
from dispatch_http.desk import Desk
from dispatch_http.parameters import Asked


@frozen
class OneCampaign:
    """A single one. It is there as long as one of its jobs is."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, campaign: str) -> None:
        """Show its progress."""
        Asked(req)
        send(resp, campaign_form(self.desk.asking(req).campaigns.progress(campaign)))
