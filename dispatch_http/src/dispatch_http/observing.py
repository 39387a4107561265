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

from dispatch_core import BatchReport, Dispatcher, DispatchError
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


TASK_CLASSES_MAX = 100
_OFF = (0.25, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)


class RunMetrics:
    """Observer: how far estimates were off and how many deadlines were missed, in what this server committed.

    Hand it to the dispatcher and to ``create_app``.
    """

    def __init__(self) -> None:
        self._classes: set[str] = set()
        self._off = Histogram(
            "dispatch_estimate_error_ratio",
            "Time a completed attempt took over its estimate, by task class; more than 1: it took longer.",
            ["task_class"],
            buckets=_OFF,
            registry=None,
        )
        self._missed = Counter(
            "dispatch_deadlines_missed", "Jobs that ended behind their deadline.", registry=None
        )
        self._granted = Counter("dispatch_grants", "Leases granted by this server.", registry=None)
        self._lost = Counter(
            "dispatch_races_lost", "Jobs chosen here that another server was faster to take.", registry=None
        )
        self._again = Counter(
            "dispatch_batches_again",
            "Batches decided once more because another server changed what they rested on.",
            registry=None,
        )

    def committed(self, report: BatchReport) -> None:
        """Count what ended."""
        for run in report.completed:
            if run.estimate_s:
                self._off.labels(self._label(run.task_class)).observe(run.took_s / run.estimate_s)
        self._missed.inc(report.deadlines_missed)
        self._granted.inc(report.granted)
        self._lost.inc(report.lost)
        self._again.inc(report.again)

    def register(self, registry: CollectorRegistry) -> None:
        """Add them to a page of metrics."""
        registry.register(self._off)
        for each in (self._missed, self._granted, self._lost, self._again):
            registry.register(each)

    def _label(self, task_class: str) -> str:
        # Callers name codecs, and so task classes: they may not make labels without end.
        if len(self._classes) < TASK_CLASSES_MAX:
            self._classes.add(task_class)
        return task_class if task_class in self._classes else "other"


class Metrics:
    """Counts and times of requests, and jobs and engines by state, in a registry of their own."""

    def __init__(self, dispatcher: Dispatcher, runs: RunMetrics | None = None) -> None:
        self._registry = CollectorRegistry()
        if runs is not None:
            runs.register(self._registry)
        self._registry.register(_Stats(dispatcher))
        self._seconds = Histogram(
            "dispatch_http_request_seconds",
            "Time from request to answer, by route template.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._timers: dict[tuple[str, str, str], Histogram] = {}
        self._problems = Counter(
            "dispatch_http_problems", "Refused requests by problem code.", ["code"], registry=self._registry
        )

    def observe(self, method: str, route: str, status: int, seconds: float, problem: str | None) -> None:
        """Count one answer. All labels come from finite sets: no caller can make more."""
        kind = method, route, f"{status // 100}xx"
        timer = self._timers.get(kind)
        if timer is None:
            timer = self._timers[kind] = self._seconds.labels(*kind)
        timer.observe(seconds)
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
        wanted = GaugeMetricFamily(
            "dispatch_engines_wanted",
            "Engines that have not left by what is wanted of them.",
            labels=["wanted"],
        )
        for state, count in stats.wanted.items():
            wanted.add_metric([state], count)
        yield wanted
        yield GaugeMetricFamily("dispatch_jobs_accepted", "Jobs ever accepted.", value=stats.accepted)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observe:
    """Middleware: logs and counts every answer, by route template: ids stay out of metrics and queries out of logs."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log = log.bind()  # else it is bound anew for every line
        self._metrics = metrics

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """Write it down."""
        context, status = req.context, resp.status_code
        seconds = time.perf_counter() - context.started
        method = req.method if req.method in _METHODS else "other"
        route = req.uri_template or "none"
        self._metrics.observe(method, route, status, seconds, context.problem)
        self._log.info(
            "request",
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1_000, 2),
            client=context.client,
            actor=context.actor,
            request_id=context.request_id,
            **({"problem": context.problem} if context.problem else {}),
        )
