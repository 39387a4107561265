"""The table of routes: every path of the API, the resource behind it and who may use it, in one place."""

from __future__ import annotations

from dispatch_core import ADMINS, ENGINES, OPERATORS, SUBMITTERS, Dispatcher
from dispatch_http.desk import Desk
from dispatch_http.forms import ReportedStatus
from dispatch_http.logs import Ring
from dispatch_http.observing import Metrics
from dispatch_http.resources import (
    admin,
    campaigns,
    description,
    engines,
    jobs,
    keys,
    limits,
    many,
    pools,
    reports,
    system,
    windows,
    work,
)
from dispatch_http.route import OPEN, Route


def routes(desk: Desk, metrics: Metrics, ring: Ring | None = None) -> list[Route]:
    """Every route, and for each of its methods who may use it: whoever has one of the scopes named."""
    table = [
        *_of_jobs(desk),
        *_of_work(desk),
        *_of_engines(desk),
        *_of_keys(desk),
        *_of_pools(desk),
        *_of_the_system(desk, metrics, ring or Ring()),
    ]
    return [*table, *_of_the_description(table)]


def _of_jobs(desk: Desk) -> list[Route]:
    read, act = {"GET": SUBMITTERS}, {"POST": SUBMITTERS}
    change = {"PATCH": SUBMITTERS, "DELETE": SUBMITTERS}
    return [
        Route("/jobs", jobs.Jobs(desk), scope=read | act),
        Route("/jobs/export", many.Export(desk), scope=read),
        Route("/jobs:requeue", many.ManyVerb(desk, Dispatcher.requeue_many), scope={"POST": ADMINS}),
        Route("/jobs:cancel", many.ReasonedManyVerb(desk, Dispatcher.cancel_many), scope={"POST": ADMINS}),
        Route("/jobs/{job_id}", jobs.OneJob(desk), scope=read | change),
        Route("/jobs/{job_id}/cancel", jobs.ReasonedJobVerb(desk, Dispatcher.cancel), scope=act),
        Route("/jobs/{job_id}/hold", jobs.ReasonedJobVerb(desk, Dispatcher.hold), scope=act),
        Route("/jobs/{job_id}/release", jobs.JobVerb(desk, Dispatcher.release), scope=act),
        Route("/jobs/{job_id}/requeue", jobs.JobVerb(desk, Dispatcher.requeue), scope=act),
        Route("/jobs/{job_id}/restore", jobs.JobVerb(desk, Dispatcher.restore), scope=act),
        Route("/jobs/{job_id}/assign", jobs.Assign(desk), scope={"POST": ADMINS}),
        Route("/jobs/{job_id}/history", jobs.History(desk), scope=read),
        Route("/jobs/{job_id}/attempts", jobs.Attempts(desk), scope=read),
        Route("/jobs/{job_id}/attempts/{number}", jobs.OneAttempt(desk), scope=read),
        Route("/jobs/{job_id}/explain", jobs.Explain(desk), scope=read),
        Route("/history/export", many.HistoryExport(desk), scope={"GET": ADMINS}),
    ]


def _of_work(desk: Desk) -> list[Route]:
    return [
        Route("/jobs/{job_id}/status", work.Status(desk), scope={"PUT": ENGINES, "PATCH": ENGINES}),
        Route(
            "/jobs/{job_id}/complete",
            work.ShortReport(desk, ReportedStatus.COMPLETED),
            scope={"POST": ENGINES},
        ),
        Route("/jobs/{job_id}/fail", work.ShortReport(desk, ReportedStatus.FAILED), scope={"POST": ENGINES}),
        Route("/jobs/{job_id}/progress", work.Progress(desk), scope={"PUT": ENGINES}),
        Route("/jobs/{job_id}/renew", work.Renew(desk), scope={"POST": ENGINES}),
        Route("/queue/next_job", work.NextJob(desk), scope={"GET": ENGINES, "POST": ENGINES}),
    ]


def _of_engines(desk: Desk) -> list[Route]:
    report, steer = {"POST": ENGINES}, {"POST": ADMINS}
    one = {"GET": SUBMITTERS | ENGINES, "PUT": ENGINES, "DELETE": ENGINES}
    return [
        Route("/engines", engines.Engines(desk), scope={"GET": SUBMITTERS}),
        Route("/engines/{engine_id}", engines.OneEngine(desk), scope=one),
        Route("/engines/{engine_id}/jobs", many.EngineJobs(desk), scope={"GET": SUBMITTERS}),
        Route(
            "/engines/{engine_id}/performance", engines.Performance(desk), scope={"GET": SUBMITTERS | ENGINES}
        ),
        Route("/engines/{engine_id}/estimates", engines.Estimates(desk), scope={"GET": SUBMITTERS}),
        Route("/estimates", engines.Estimates(desk), scope={"GET": SUBMITTERS}),
        Route("/engines/{engine_id}/heartbeat", engines.Heartbeat(desk), scope=report),
        Route("/engines/{engine_id}/reports", reports.Reports(desk), scope=report),
        Route("/engines/{engine_id}/benchmarks", engines.Benchmarks(desk), scope=report),
        Route(
            "/engines/{engine_id}/cordon", engines.ReasonedEngineVerb(desk, Dispatcher.cordon), scope=steer
        ),
        Route("/engines/{engine_id}/drain", engines.ReasonedEngineVerb(desk, Dispatcher.drain), scope=steer),
        Route("/engines/{engine_id}/resume", engines.EngineVerb(desk, Dispatcher.resume), scope=steer),
    ]


def _of_keys(desk: Desk) -> list[Route]:
    return [
        Route("/keys", keys.Keys(desk), scope={"GET": ADMINS, "POST": ADMINS}),
        Route("/keys/{key_id}", keys.OneKey(desk), scope={"DELETE": ADMINS}),
        Route("/keys/{key_id}/rotate", keys.Rotate(desk), scope={"POST": ADMINS}),
    ]


def _of_pools(desk: Desk) -> list[Route]:
    look = {"GET": SUBMITTERS | ENGINES}
    return [
        Route("/pools", pools.Pools(desk), scope=look | {"POST": ADMINS}),
        Route("/pools/{pool_id}", pools.OnePool(desk), scope=look | {"PATCH": ADMINS, "DELETE": ADMINS}),
        Route("/pools/{pool_id}/report", pools.PoolReport(desk), scope={"POST": ENGINES}),
        Route("/limits", limits.Limits(desk), scope=look),
        Route("/limits/{limit_key}", limits.OneLimit(desk), scope=look | {"PUT": ADMINS, "DELETE": ADMINS}),
        Route("/campaigns/{campaign}", campaigns.OneCampaign(desk), scope={"GET": SUBMITTERS}),
        Route("/windows", windows.Windows(desk), scope={"GET": SUBMITTERS, "POST": ADMINS}),
        Route("/windows/{window_id}", windows.OneWindow(desk), scope={"DELETE": ADMINS}),
    ]


def _of_the_system(desk: Desk, metrics: Metrics, ring: Ring) -> list[Route]:
    public = {"GET": OPEN, "HEAD": OPEN}
    return [
        Route("/status", system.SystemStatus(desk), scope={"GET": SUBMITTERS}),
        Route("/version", system.Version(desk), scope=public),
        Route("/health/live", system.Live(), scope=public),
        Route("/health/ready", system.Ready(desk), scope=public),
        Route("/admin/backup", admin.Backups(desk), scope={"GET": OPERATORS, "POST": OPERATORS}),
        Route("/admin/purge", admin.Purge(desk), scope={"POST": OPERATORS}),
        Route("/admin/rekey", admin.Rekey(desk), scope={"POST": OPERATORS}),
        Route("/logs", system.LogLines(ring), scope={"GET": OPERATORS}),
        Route("/metrics", system.MetricsPage(metrics), scope={"GET": OPERATORS}),
    ]


def _of_the_description(table: list[Route]) -> list[Route]:
    """The description of the API, its own routes included."""
    described = description.Described()
    own = [
        Route("/openapi.json", description.Document(described), scope={"GET": OPEN}),
        Route("/docs", description.DocumentPage(described), scope={"GET": OPEN}),
    ]
    described.routes = [*table, *own]
    return own
