"""The application: routes, middleware and error handling put together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import falcon

from dispatch_core import Dispatcher, DispatchError
from dispatch_http import problems
from dispatch_http.admission import Admission, AlwaysServed, Gate
from dispatch_http.auth import Auth
from dispatch_http.backing_up import Backups
from dispatch_http.desk import Desk
from dispatch_http.headers import Hygiene, Stamp, StampedRequest
from dispatch_http.heart import Heart
from dispatch_http.legacy.frontend import FleetAuth, with_older_fleet
from dispatch_http.legacy.kind import DISTCONV
from dispatch_http.logs import Log, Ring
from dispatch_http.naming import Ids
from dispatch_http.observing import Metrics, Observe, RunMetrics, make_log
from dispatch_http.origins import Origins, allowed_origins
from dispatch_http.proxies import Clients, trusted_networks
from dispatch_http.rates import Requests
from dispatch_http.route import Route
from dispatch_http.routes import routes
from dispatch_http.settings import HttpSettings


class DispatchApp(falcon.App[StampedRequest, falcon.Response]):
    """A Falcon application, with its routes and the gate through which its server lets requests in."""

    gate: Gate
    heart: Heart
    routes: Sequence[Route]
    log: Log
    backups: Backups


def create_app(
    dispatcher: Dispatcher,
    settings: HttpSettings | None = None,
    *,
    log: Log | None = None,
    ring: Ring | None = None,
    runs: RunMetrics | None = None,
) -> DispatchApp:
    """The HTTP API of a dispatcher. Starts no thread and opens nothing; the dispatcher stays the caller's.

    ``ring`` is what the given log keeps its latest lines in; without a log, both are made. ``runs``, an observer
    of the dispatcher, adds its metrics.

    The older fleet is served, too, if the dispatcher has its kind (``legacy.kind.DISTCONV``) and the settings
    do not forbid it.
    """
    settings = settings or HttpSettings()
    ring = ring or Ring()
    log = log or make_log(json=settings.log_json, ring=ring)
    metrics = Metrics(dispatcher, runs)
    gate = Gate(settings.waits_max)
    desk = Desk(dispatcher=dispatcher, settings=settings, gate=gate)
    table = routes(desk, metrics, ring)
    present = {route.path for route in table}
    origins = allowed_origins(settings)
    proxies = trusted_networks(settings)
    auth: Auth | FleetAuth = Auth(dispatcher, settings, table)
    if settings.legacy and DISTCONV.name in dispatcher.kinds:
        table = with_older_fleet(table, desk)
        auth = FleetAuth(Auth(dispatcher, settings, table), settings.legacy_keys, desk)
    app = DispatchApp(
        request_type=StampedRequest,
        middleware=[
            *([Clients(proxies)] if proxies else []),
            Observe(log, metrics),
            Stamp(),
            *([Origins(origins)] if origins else []),
            Hygiene(),
            Admission(gate),
            auth,
            Requests(settings, exempt=_unlimited(table, present)),
            Ids(desk),
        ],
    )
    app.gate = gate
    app.heart = desk.heart
    app.routes = table
    app.log = log
    app.backups = desk.backups
    for route in table:
        app.add_route(route.path, route.resource)
    _handle_errors(app, log)
    return app


def _unlimited(table: Sequence[Route], present: Collection[str]) -> list[str]:
    """The paths that callers may ask for as often as they like."""
    return [
        route.path for route in table if route.path not in present or isinstance(route.resource, AlwaysServed)
    ]


def _handle_errors(app: DispatchApp, log: Log) -> None:
    def refused(
        req: falcon.Request, resp: falcon.Response, error: problems.Refusal, params: dict[str, Any]
    ) -> None:
        problems.send(error.problem, req, resp)

    def rejected(
        req: falcon.Request, resp: falcon.Response, error: DispatchError, params: dict[str, Any]
    ) -> None:
        problem = problems.of_core(error)
        if problem.status >= 500:
            log.warning("trouble", code=problem.code, detail=str(error), request_id=req.context.request_id)
        problems.send(problem, req, resp)

    def unrouted(
        req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: dict[str, Any]
    ) -> None:
        problems.send(problems.of_falcon(error), req, resp)

    def failed(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
        log.error("failure", request_id=req.context.request_id, route=req.uri_template, exc_info=error)
        problems.send(problems.unexpected(), req, resp)

    app.add_error_handler(Exception, failed)
    app.add_error_handler(falcon.HTTPError, unrouted)
    app.add_error_handler(DispatchError, rejected)
    app.add_error_handler(problems.Refusal, refused)
