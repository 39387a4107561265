"""Storage pools: named places that jobs write to."""

from __future__ import annotations

from collections.abc import Mapping

import falcon
from attrs import frozen

from dispatch_core import Dispatcher, Pool, PoolRoom, UnknownPoolError
from dispatch_core.forms import POOL_FIELDS, only, parse, pool_form
from dispatch_http.answers import send
from dispatch_http.desk import Desk
from dispatch_http.forms import MeasuredPool, Nothing, new_pool
from dispatch_http.headers import if_version
from dispatch_http.parameters import Asked


def _send(resp: falcon.Response, pool: Pool, acting: Dispatcher, status: int = 200) -> None:
    """Answer with a pool as a command left it, and what is reserved in it now."""
    try:
        reserved_bytes = acting.pools.get(pool.id).reserved_bytes
    except UnknownPoolError:
        reserved_bytes = 0
    resp.etag = str(pool.version)
    send(resp, pool_form(PoolRoom(pool, reserved_bytes)), status)


@frozen
class Pools:
    """All pools of the tenant."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them by id."""
        fields = Asked(req, "fields").fields(POOL_FIELDS)
        send(resp, {"pools": [only(pool_form(room), fields) for room in self.desk.asking(req).pools.list()]})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make one; 409 if the tenant has one of this id."""
        Asked(req)
        acting = self.desk.acting(req)
        pool_id, spec = new_pool(self.desk.body(req))
        pool = acting.pools.create(pool_id, spec)
        resp.location = f"/pools/{pool.id}"
        _send(resp, pool, acting, 201)


@frozen
class OnePool:
    """A single one."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, pool_id: str) -> None:
        """Show it."""
        Asked(req)
        room = self.desk.asking(req).pools.get(pool_id)
        resp.etag = str(room.pool.version)
        send(resp, pool_form(room))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, pool_id: str) -> None:
        """Edit it (merge patch), if it is still at the version that If-Match names."""
        Asked(req)
        acting = self.desk.acting(req, conditional=True)
        patch = self.desk.body(req)
        if not isinstance(patch, Mapping):
            parse(Nothing, patch)
        _send(resp, acting.pools.edit(pool_id, patch, if_version=if_version(req)), acting)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, pool_id: str) -> None:
        """Forget it."""
        Asked(req)
        acting = self.desk.acting(req)
        _send(resp, acting.pools.delete(pool_id), acting)


@frozen
class PoolReport:
    """What an engine or a monitor measured."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response, pool_id: str) -> None:
        """Take it down."""
        Asked(req)
        acting = self.desk.acting(req)
        found = parse(MeasuredPool, self.desk.body(req))
        pool = acting.pools.report(pool_id, used_bytes=found.used_bytes, capacity_bytes=found.capacity_bytes)
        _send(resp, pool, acting)
