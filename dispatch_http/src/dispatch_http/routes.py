"""The table of routes: every path of the API and the resource behind it, in one place."""

from __future__ import annotations

from dispatch_core import Dispatcher
from dispatch_http.desk import Desk
from dispatch_http.observing import Metrics
from dispatch_http.resources import engines, jobs, system, work


def routes(desk: Desk, metrics: Metrics) -> list[tuple[str, object]]:
    """Paths and resources. A resource needs a key unless it says that it does not."""
    return [
        ("/jobs", jobs.Jobs(desk)),
        ("/jobs/{job_id}", jobs.OneJob(desk)),
        ("/jobs/{job_id}/cancel", jobs.ReasonedJobVerb(desk, Dispatcher.cancel)),
        ("/jobs/{job_id}/hold", jobs.ReasonedJobVerb(desk, Dispatcher.hold)),
        ("/jobs/{job_id}/release", jobs.JobVerb(desk, Dispatcher.release)),
        ("/jobs/{job_id}/requeue", jobs.JobVerb(desk, Dispatcher.requeue)),
        ("/jobs/{job_id}/restore", jobs.JobVerb(desk, Dispatcher.restore)),
        ("/jobs/{job_id}/assign", jobs.Assign(desk)),
        ("/jobs/{job_id}/history", jobs.History(desk)),
        ("/jobs/{job_id}/attempts", jobs.Attempts(desk)),
        ("/jobs/{job_id}/attempts/{number}", jobs.OneAttempt(desk)),
        ("/jobs/{job_id}/explain", jobs.Explain(desk)),
        ("/jobs/{job_id}/status", work.Status(desk)),
        ("/jobs/{job_id}/progress", work.Progress(desk)),
        ("/jobs/{job_id}/renew", work.Renew(desk)),
        ("/queue/next_job", work.NextJob(desk)),
        ("/engines", engines.Engines(desk)),
        ("/engines/{engine_id}", engines.OneEngine(desk)),
        ("/engines/{engine_id}/heartbeat", engines.Heartbeat(desk)),
        ("/engines/{engine_id}/benchmarks", engines.Benchmarks(desk)),
        ("/engines/{engine_id}/cordon", engines.ReasonedEngineVerb(desk, Dispatcher.cordon)),
        ("/engines/{engine_id}/drain", engines.ReasonedEngineVerb(desk, Dispatcher.drain)),
        ("/engines/{engine_id}/resume", engines.EngineVerb(desk, Dispatcher.resume)),
        ("/status", system.SystemStatus(desk)),
        ("/version", system.Version()),
        ("/health/live", system.Live()),
        ("/health/ready", system.Ready(desk)),
        ("/metrics", system.MetricsPage(metrics)),
    ]
