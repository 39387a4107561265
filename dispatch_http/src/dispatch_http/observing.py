"""What can be seen from outside: one log line a request, and metrics."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TextIO

import falcon
import structlog
from attrs import define
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from dispatch_core import Dispatcher, DispatchError
from dispatch_http.logs import Log, Ring, chain


def make_log(stream: TextIO | None = None, *, json: bool = True, ring: Ring | None = None) -> Log:
    """A log to ``stream`` (stderr by default): a JSON object or ``key=value`` words a line.

    Configures nothing global, and writes in the caller's thread; a server had better use ``logging_to``.
    """
    log: Log = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *chain(json=json, ring=ring),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )
    return log


class Metrics:
    """Counts and times of requests, and jobs and engines by state, in a registry of their own."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Stats(dispatcher))
        self._seconds = Histogram(
            "dispatch_http_request_seconds",
            "Time from request to answer, by route template.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._problems = Counter(
            "dispatch_http_problems", "Refused requests by problem code.", ["code"], registry=self._registry
        )

    def observe(self, method: str, route: str, status: int, seconds: float, problem: str | None) -> None:
        """Count one answer. All labels come from finite sets: no caller can make more."""
        self._seconds.labels(method, route, f"{status // 100}xx").observe(seconds)
        if problem is not None:
            self._problems.labels(problem).inc()

    def page(self) -> tuple[bytes, str]:
        """The exposition text and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


@define(eq=False)
class _Stats:
    """Asks the dispatcher at every scrape. If the store is away, the other metrics still come."""

    dispatcher: Dispatcher

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        try:
            stats = self.dispatcher.stats()
        except DispatchError:
            return
        jobs = GaugeMetricFamily("dispatch_jobs", "Jobs by state.", labels=["state"])
        for state, count in stats.jobs.items():
            jobs.add_metric([state], count)
        yield jobs
        engines = GaugeMetricFamily("dispatch_engines", "Engines by how they are seen.", labels=["seen"])
        for seen, count in stats.engines.items():
            engines.add_metric([seen], count)
        yield engines
        yield GaugeMetricFamily("dispatch_jobs_accepted", "Jobs ever accepted.", value=stats.accepted)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observe:
    """Middleware: logs and counts every answer, by route template: ids stay out of metrics and queries out of logs."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """Write it down."""
        seconds = time.perf_counter() - req.context.started
        method = req.method if req.method in _METHODS else "other"
        route = req.uri_template or "none"
        self._metrics.observe(method, route, resp.status_code, seconds, req.context.problem)
        self._log.info(
            "request",
            method=method,
            route=route,
            status=resp.status_code,
            ms=round(seconds * 1_000, 2),
            client=req.context.client,
            actor=req.context.actor,
            request_id=req.context.request_id,
            **({"problem": req.context.problem} if req.context.problem else {}),
        )
