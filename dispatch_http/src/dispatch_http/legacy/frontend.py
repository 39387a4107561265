"""The older fleet's routes, and the key that opens them only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import falcon

from dispatch_core import ADMINS, ENGINES, SUBMITTERS, Context, Scope
from dispatch_http.auth import Auth, matching
from dispatch_http.desk import Desk
from dispatch_http.legacy import fleet
from dispatch_http.legacy.meeting import MEETINGS
from dispatch_http.legacy.resources import (
    AssignJob,
    BenchmarkResult,
    Engines,
    Health,
    Heartbeat,
    Jobs,
    JobVerb,
    Root,
    StoragePools,
)
from dispatch_http.route import OPEN, Route
from dispatch_http.settings import ApiKey

Door = tuple[str, str]
"""A method and a path."""
MET: frozenset[Door] = frozenset(
    {
        ("GET", "/jobs/{job_id}"),
        ("POST", "/jobs/{job_id}/cancel"),
        ("POST", "/jobs/{job_id}/complete"),
        ("POST", "/jobs/{job_id}/fail"),
        ("POST", "/jobs/{job_id}/progress"),
    }
)
"""What both protocols have, as far as the older one has it."""


def older_routes(desk: Desk) -> list[Route]:
    """The routes that only the older protocol has. A path with a slash at its end is not the one without."""
    report, act, public = {"POST": ENGINES}, {"POST": SUBMITTERS}, {"GET": OPEN, "HEAD": OPEN}
    return [
        Route("/", Root(), scope=public),
        Route("/health", Health(), scope=public),
        Route("/jobs/", Jobs(desk), scope={"GET": SUBMITTERS, "POST": SUBMITTERS}),
        Route("/jobs/{job_id}/retry", JobVerb(desk, fleet.retry), scope=act),
        Route("/assign_job/", AssignJob(desk), scope=report),
        Route("/engines/", Engines(desk), scope={"GET": SUBMITTERS}),
        Route("/engines/heartbeat", Heartbeat(desk), scope=report),
        Route("/engines/benchmark_result", BenchmarkResult(desk), scope=report),
        Route("/storage_pools/", StoragePools(desk), scope={"GET": SUBMITTERS, "POST": ADMINS}),
    ]


def with_older_fleet(table: Sequence[Route], desk: Desk) -> list[Route]:
    """The present table with the older fleet's routes; where they meet, either protocol is answered."""
    return [*(_met(route, desk) for route in table), *older_routes(desk)]


def _met(route: Route, desk: Desk) -> Route:
    if route.path not in MEETINGS:
        return route
    asked = {method: ENGINES for method, path in MET if path == route.path and method not in route.scope}
    return attrs.evolve(
        route, resource=MEETINGS[route.path](desk, route.resource), scope={**route.scope, **asked}
    )


class FleetAuth:
    """The usual check; and before it, for the older fleet's routes, that of the keys which open nothing else."""

    def __init__(self, auth: Auth, keys: tuple[ApiKey, ...], desk: Desk) -> None:
        self._auth = auth
        self._keys = keys
        own = {(method, route.path) for route in older_routes(desk) for method in route.scope}
        self._doors = own | MET

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: Mapping[str, object]
    ) -> None:
        """Sets ``req.context.actor``, and ``fleet_only`` if the key is one of the fleet's. Raises Refusal."""
        text: str | None = req.env.get("HTTP_X_API_KEY")
        if text is not None and (req.method, req.uri_template) in self._doors:
            key = matching(self._keys, text)
            if key is not None and req.get_header("Authorization") is None:
                caller = Context(
                    actor=f"fleet:{key.name}",
                    scopes=(Scope.SUBMITTER, Scope.ENGINE),
                    address=req.context.client,
                    request_id=req.context.request_id,
                )
                req.context.caller, req.context.actor = caller, caller.actor
                req.context.fleet_only = True
                return
        self._auth.process_resource(req, resp, resource, params)
