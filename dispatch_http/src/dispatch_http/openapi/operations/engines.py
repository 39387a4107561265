"""Engines: their registration and signs of life, and what operators want of them."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_core.forms import ENGINE_FIELDS, ENGINE_ORDERS, JOB_FIELDS, JOB_ORDERS
from dispatch_http import forms
from dispatch_http.openapi import answers, many
from dispatch_http.openapi.operations.operation import (
    CONFLICT,
    CURSOR,
    ENGINE,
    FILTERS,
    LIMIT,
    NOTHING,
    REASON,
    Answer,
    Operation,
    Parameter,
    choice,
    fields,
    flag,
)

_SORT = Parameter(
    "sort", choice(ENGINE_ORDERS), "The order; a dash turns it round.", default=ENGINE_ORDERS[0]
)
_JOB_SORT = Parameter("sort", choice(JOB_ORDERS), "The order; a dash turns it round.", default=JOB_ORDERS[0])
_FIELDS = fields(ENGINE_FIELDS)
_OF_ENGINE = ("getEngine", "previewClaim", "claim", "heartbeat", "reportBenchmarks", "cordonEngine", "drainEngine",
              "resumeEngine", "enginePerformance", "engineEstimates", "deregisterEngine")  # fmt: skip

ENGINES: Mapping[str, Operation] = {
    "GET /engines": Operation(
        name="listEngines",
        words="All engines.",
        query=(flag("left", "Those that have left, too."), _SORT, _FIELDS),
        answers={200: Answer(kind=answers.Engines)},
        links={"engines": ("registerEngine", *_OF_ENGINE)},
    ),
    "GET /engines/{engine_id}": Operation(
        name="getEngine",
        words="One engine, its last sign of life and what it runs.",
        query=(_FIELDS,),
        answers=ENGINE,
    ),
    "GET /engines/{engine_id}/performance": Operation(
        name="enginePerformance",
        words="How fast an engine completed its last jobs, by task class, from grant to report, and how far the "
        "estimates were off.",
        answers={200: Answer(kind=answers.Performance)},
    ),
    "GET /engines/{engine_id}/estimates": Operation(
        name="engineEstimates",
        words="How long a unit of work should take on an engine, by task class: from benchmarks and completed jobs.",
        answers={200: Answer(kind=answers.Estimates)},
    ),
    "GET /estimates": Operation(
        name="listEstimates",
        words="How long a unit of work should take on every engine, by task class.",
        answers={200: Answer(kind=answers.Estimates)},
    ),
    "PUT /engines/{engine_id}": Operation(
        name="registerEngine",
        words="An engine process presents itself: 201 the first time. A new session ends what an older one left.",
        example={
            "session": "first-start",
            "profile": {"slots": 2, "facts": {"codec": ["h264"], "encoder": ["libx264"], "ffmpeg": "7.1"}},
        },
        body=(forms.Registration,),
        refusals=CONFLICT,
        answers={
            200: Answer(kind=answers.Engine, etag=True, location="The engine."),
            201: Answer(kind=answers.Engine, etag=True, location="The engine."),
        },
        links={"engine": _OF_ENGINE},
    ),
    "DELETE /engines/{engine_id}": Operation(
        name="deregisterEngine",
        words="An engine leaves; its open attempts end as if their lease had run out.",
        refusals=CONFLICT,
        answers=ENGINE,
    ),
    "GET /engines/{engine_id}/jobs": Operation(
        name="engineJobs",
        words="The jobs an engine runs or ran last: the list of jobs with this engine as a filter.",
        query=(*FILTERS, _JOB_SORT, LIMIT, CURSOR, fields(JOB_FIELDS)),
        answers={200: Answer(kind=answers.JobPage)},
    ),
    "POST /engines/{engine_id}/heartbeat": Operation(
        name="heartbeat",
        words="Renew the named leases; hear of cancels, lost leases and the wanted state.",
        example={"session": "first-start", "disk_free_bytes": 1_000_000_000},
        body=(forms.SignOfLife,),
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.HeartbeatAnswer)},
    ),
    "POST /engines/{engine_id}/reports": Operation(
        name="reportMany",
        words="Up to 1,000 reports of an engine, written together; each is answered for itself, in their order.",
        example={"reports": [{"job_id": "job-1", "token": "0123456789ab.1", "status": "running"}]},
        body=(forms.ManyReports,),
        refusals=CONFLICT,
        answers={200: Answer(kind=many.ReportAnswers)},
    ),
    "POST /engines/{engine_id}/benchmarks": Operation(
        name="reportBenchmarks",
        words="Measured speeds; they replace those of the same task class.",
        example={"benchmarks": [{"task_class": "h264/1080p/encode", "units_per_s": 4.5}]},
        body=(forms.Measurements,),
        refusals=CONFLICT,
        answers=ENGINE,
    ),
    "POST /engines/{engine_id}/cordon": Operation(
        name="cordonEngine",
        words="No new work; what it runs goes on.",
        body=REASON,
        refusals=CONFLICT,
        answers=ENGINE,
    ),
    "POST /engines/{engine_id}/drain": Operation(
        name="drainEngine",
        words="No new work, and the engine leaves when what it runs is done.",
        body=REASON,
        refusals=CONFLICT,
        answers=ENGINE,
    ),
    "POST /engines/{engine_id}/resume": Operation(
        name="resumeEngine", words="Work again.", body=NOTHING, refusals=CONFLICT, answers=ENGINE
    ),
}
