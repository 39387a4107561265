"""Keys: who is let in. The text of a key is in one answer and nowhere else."""

from __future__ import annotations

import falcon
from attrs import frozen

from dispatch_core import Key
from dispatch_core.forms import KEY_FIELDS, TIMES, key_form, only, parse, parse_instant, pointing_at
from dispatch_http.answers import send
from dispatch_http.desk import Desk
from dispatch_http.forms import NewKey, Rotation
from dispatch_http.parameters import Asked


@frozen
class Keys:
    """The tenant's keys; for the operator, those of all tenants."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All that are not revoked; revoked ones too if asked for."""
        asked = Asked(req, "tenant", "revoked", "fields")
        fields = asked.fields(KEY_FIELDS)
        keys = self.desk.asking(req).keys(tenant=asked.text("tenant"), revoked=asked.flag("revoked"))
        send(resp, {"keys": [only(key_form(key), fields) for key in keys]})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make one. ``text`` is what its holder presents."""
        Asked(req)
        new = parse(NewKey, self.desk.body(req))
        expires_us = None if new.expires_at is None else parse_instant(new.expires_at, "/expires_at")
        with pointing_at(TIMES):
            made = self.desk.acting(req).create_key(
                new.name, new.scopes, tenant=new.tenant, engine_id=new.engine_id, expires_us=expires_us
            )
        _send(resp, *made, 201)


@frozen
class OneKey:
    """A single one."""

    desk: Desk

    def on_delete(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Revoke it."""
        Asked(req)
        send(resp, key_form(self.desk.acting(req).revoke_key(key_id)))


@frozen
class Rotate:
    """Another secret for a key."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Draw it; the former one stays good for a while."""
        Asked(req)
        rotation = parse(Rotation, self.desk.body(req))
        _send(resp, *self.desk.acting(req).rotate_key(key_id, overlap_s=rotation.overlap_s), 200)


def _send(resp: falcon.Response, key: Key, text: str | None, status: int) -> None:
    send(resp, {**key_form(key), "text": text}, status)
    resp.set_header("Cache-Control", "no-store")
