"""Limits by key: how many jobs that name a key run at a time, how often they start, how many may wait."""

from __future__ import annotations

import falcon
from attrs import frozen

from dispatch_core import LimitRoom, LimitSpec
from dispatch_core.forms import LIMIT_FIELDS, limit_form, only, parse
from dispatch_http.answers import send
from dispatch_http.desk import Desk
from dispatch_http.parameters import Asked


def _send(resp: falcon.Response, room: LimitRoom) -> None:
    resp.etag = str(room.limit.version)
    send(resp, limit_form(room))


@frozen
class Limits:
    """All limits of the tenant."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them by key."""
        fields = Asked(req, "fields").fields(LIMIT_FIELDS)
        rooms = self.desk.asking(req).limits.list()
        send(resp, {"limits": [only(limit_form(room), fields) for room in rooms]})


@frozen
class OneLimit:
    """A single one."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, limit_key: str) -> None:
        """Show it."""
        Asked(req)
        _send(resp, self.desk.asking(req).limits.get(limit_key))

    def on_put(self, req: falcon.Request, resp: falcon.Response, limit_key: str) -> None:
        """Say what holds from now on."""
        Asked(req)
        limits = self.desk.acting(req).limits
        limits.set(limit_key, parse(LimitSpec, self.desk.body(req)))
        _send(resp, limits.get(limit_key))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, limit_key: str) -> None:
        """Remove it; its last state."""
        Asked(req)
        _send(resp, LimitRoom(limit=self.desk.acting(req).limits.remove(limit_key)))
