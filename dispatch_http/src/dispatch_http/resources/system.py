"""The system: counts, version, health, metrics."""

from __future__ import annotations

from datetime import datetime

import falcon
from attrs import frozen

from dispatch_core import ClosedError
from dispatch_http import __version__
from dispatch_http.answers import send
from dispatch_http.building import version_form
from dispatch_http.desk import Desk
from dispatch_http.logs import LEVELS, LINES_MAX, Ring
from dispatch_http.observing import Metrics
from dispatch_http.parameters import Asked


@frozen
class SystemStatus:
    """How many of everything, and whether the books balance."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Count."""
        Asked(req)
        stats = self.desk.asking(req).stats()
        form = {
            "jobs": dict(stats.jobs),
            "accepted": stats.accepted,
            "purged": stats.purged,
            "engines": dict(stats.engines),
            "identity_holds": stats.identity_holds,
            "version": __version__,
        }
        send(resp, form)


@frozen
class Version:
    """Which version answers."""

    desk: Desk
    when_draining = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Tell."""
        send(resp, version_form(self.desk.dispatcher.storage.traits.schema))

    on_head = on_get


@frozen
class Live:
    """Whether the process answers at all. False means: restart it."""

    when_draining = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """It does."""
        send(resp, {"status": "live"})

    on_head = on_get


@frozen
class Ready:
    """Whether it makes sense to send work here: not draining, the store answers, and time passes."""

    desk: Desk
    when_draining = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Look at the gate and make one round trip to the store."""
        if self.desk.gate.draining:
            raise ClosedError("the server is shutting down")
        self.desk.dispatcher.check_storage()
        self.desk.heart.check()
        send(resp, {"status": "ready"})

    on_head = on_get


@frozen
class MetricsPage:
    """Counts and times in the exposition format of Prometheus."""

    metrics: Metrics

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Count."""
        resp.data, resp.content_type = self.metrics.page()


@frozen
class LogLines:
    """The latest lines of the server's log. They tell of every tenant, so they are the operator's."""

    ring: Ring

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The last of them that were asked for, oldest first."""
        asked = Asked(req, "level", "logger", "since", "limit")
        since = asked.instant("since")
        lines = self.ring.read(
            level=asked.choice("level", LEVELS, "debug"),
            logger=asked.text("logger"),
            since=None if since is None else datetime.fromisoformat(since),
            limit=asked.whole("limit", default=100, ge=1, le=LINES_MAX),
        )
        send(resp, {"lines": lines})
