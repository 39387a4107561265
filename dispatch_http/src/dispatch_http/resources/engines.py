"""Engines: their registration and signs of life, and what operators want of them."""

from __future__ import annotations

from collections.abc import Callable

import falcon
from attrs import frozen

from dispatch_core import Engine
from dispatch_core.forms import (
    ENGINE_FIELDS,
    ENGINE_ORDERS,
    engine_form,
    estimates_form,
    heartbeat_form,
    only,
    parse,
    performance_form,
)
from dispatch_http.answers import send, send_engine
from dispatch_http.desk import Desk
from dispatch_http.forms import Because, Measurements, Nothing, Registration, SignOfLife
from dispatch_http.parameters import Asked


@frozen
class Engines:
    """The fleet."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of them; those that have left only if asked for."""
        asked = Asked(req, "left", "sort", "fields")
        order = asked.choice("sort", ENGINE_ORDERS, ENGINE_ORDERS[0])
        fields = asked.fields(ENGINE_FIELDS)
        fleet = self.desk.asking(req).engines(left=asked.flag("left"), order=order)
        forms = (engine_form(each.engine, each.pulse, tuple(each.attempts), each.windows) for each in fleet)
        send(resp, {"engines": [only(form, fields) for form in forms]})


@frozen
class OneEngine:
    """A single one."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, engine_id: str) -> None:
        """Show it."""
        fields = Asked(req, "fields").fields(ENGINE_FIELDS)
        asking = self.desk.asking(req)
        send_engine(resp, asking.engine(engine_id).engine, asking, fields=fields)

    def on_put(self, req: falcon.Request, resp: falcon.Response, engine_id: str) -> None:
        """It presents itself: 201 the first time."""
        Asked(req)
        acting = self.desk.acting(req)
        registration = parse(Registration, self.desk.body(req))
        engine = acting.register(engine_id, registration.profile, session=registration.session)
        resp.location = f"/engines/{engine.id}"
        send_engine(resp, engine, acting, 201 if engine.version == 1 else 200)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, engine_id: str) -> None:
        """It leaves."""
        Asked(req)
        acting = self.desk.acting(req)
        send_engine(resp, acting.deregister(engine_id), acting)


@frozen
class Heartbeat:
    """An engine's sign of life."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response, engine_id: str) -> None:
        """Renew what it names, and tell it everything it must know."""
        Asked(req)
        sign = parse(SignOfLife, self.desk.body(req))
        answer = self.desk.acting(req).heartbeat(
            engine_id,
            session=sign.session,
            leases=sign.leases,
            disk_free_bytes=sign.disk_free_bytes,
            load=sign.load,
        )
        send(resp, heartbeat_form(answer))


@frozen
class Benchmarks:
    """An engine's measured speeds."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response, engine_id: str) -> None:
        """Cells replace those of the same task class."""
        Asked(req)
        acting = self.desk.acting(req)
        measured = parse(Measurements, self.desk.body(req))
        send_engine(resp, acting.report_benchmark(engine_id, measured.benchmarks), acting)


@frozen
class EngineVerb:
    """A verb that takes no arguments."""

    desk: Desk
    verb: Callable[..., Engine]

    def on_post(self, req: falcon.Request, resp: falcon.Response, engine_id: str) -> None:
        """Do it."""
        Asked(req)
        parse(Nothing, self.desk.body(req))
        acting = self.desk.acting(req)
        send_engine(resp, self.verb(acting, engine_id), acting)


@frozen
class ReasonedEngineVerb:
    """A verb that may be given a reason."""

    desk: Desk
    verb: Callable[..., Engine]

    def on_post(self, req: falcon.Request, resp: falcon.Response, engine_id: str) -> None:
        """Do it."""
        Asked(req)
        because = parse(Because, self.desk.body(req))
        acting = self.desk.acting(req)
        send_engine(resp, self.verb(acting, engine_id, reason=because.reason), acting)


@frozen
class Performance:
    """What an engine was seen to do."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, engine_id: str) -> None:
        """Its speeds by task class."""
        Asked(req)
        send(resp, performance_form(engine_id, self.desk.asking(req).performance(engine_id)))


@frozen
class Estimates:
    """How long a unit of work should take: on all engines, or on the one in the path."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, engine_id: str | None = None) -> None:
        """By engine and task class."""
        Asked(req)
        send(resp, estimates_form(self.desk.asking(req).estimates(engine_id)))
