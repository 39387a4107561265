"""For who runs the service: backups, and purging by hand."""

from __future__ import annotations

from pathlib import Path

import falcon
from attrs import frozen

from dispatch_core import Retention
from dispatch_core.forms import parse, rekey_form
from dispatch_core.storage import taken_at
from dispatch_http.answers import send
from dispatch_http.desk import Desk
from dispatch_http.forms import PurgeOrder, RekeyOrder
from dispatch_http.headers import refuse_conditions
from dispatch_http.parameters import Asked


@frozen
class Backups:
    """The backups of this server's store, in the folder that its settings name."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Those that there are, newest first."""
        Asked(req)
        send(resp, {"backups": [_form(each) for each in self.desk.backups.known()]})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take one now; the name of the file is the server's to choose."""
        Asked(req)
        refuse_conditions(req)
        send(resp, _form(self.desk.backups.take().path), status=201)


def _form(path: Path) -> dict[str, object]:
    taken = taken_at(path)
    return {
        "name": path.name,
        "size_bytes": path.stat().st_size,
        "taken_at": None
        if taken is None
        else taken.isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }


@frozen
class Rekey:
    """The places of jobs that wait."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Give the next jobs the places that the present mode and fleet give them."""
        Asked(req)
        order = parse(RekeyOrder, self.desk.body(req))
        instant, _, job_id = (order.after or "").partition(".")
        after = (int(instant), job_id) if job_id else None
        send(resp, rekey_form(self.desk.acting(req).rekey(order.limit, after)))


@frozen
class Purge:
    """Ended jobs that are older than the settings, or the caller, say."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Purge them, or count them."""
        Asked(req)
        order = parse(PurgeOrder, self.desk.body(req))
        older = order.older_than_s
        retention = None if older is None else Retention.older_than(older, order.states)
        report = self.desk.acting(req).purge(retention, dry_run=order.dry_run)
        form = {
            "dry_run": report.dry_run,
            "total": report.total,
            "counts": dict(report.counts),
            "more": report.more,
        }
        send(resp, form)
