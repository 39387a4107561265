"""Jobs: submitting, listing, showing, changing them."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_core import Edit, EngineId, JobSpec
from dispatch_core.forms import ATTEMPT_FIELDS, EVENT_FIELDS, JOB_FIELDS, JOB_ORDERS
from dispatch_http import forms
from dispatch_http.openapi import answers, explanations, many
from dispatch_http.openapi.operations.operation import (
    CONFLICT,
    CURSOR,
    FILTERS,
    JOB,
    LIMIT,
    LINES,
    NOT_ACCEPTABLE,
    NOTHING,
    OF_ENGINES,
    PLACE,
    REASON,
    Answer,
    Operation,
    Parameter,
    choice,
    fields,
)

_SORT = Parameter("sort", choice(JOB_ORDERS), "The order; a dash turns it round.", default=JOB_ORDERS[0])
_FIELDS = fields(JOB_FIELDS)
_MANY = {"filter": {"state": ["failed_permanently"]}, "dry_run": True}
_OF_JOB = ("getJob", "editJob", "cancelJob", "holdJob", "releaseJob", "requeueJob", "deleteJob", "restoreJob",
           "assignJob", "jobHistory", "jobAttempts", "explainJob")  # fmt: skip

JOBS: Mapping[str, Operation] = {
    "GET /jobs": Operation(
        name="listJobs",
        words="A page of jobs.",
        query=(*FILTERS, OF_ENGINES, _SORT, LIMIT, CURSOR, _FIELDS),
        answers={200: Answer(kind=answers.JobPage)},
        links={"jobs": _OF_JOB},
    ),
    "POST /jobs": Operation(
        name="submitJob",
        words="Submit a job, or up to 1,000 as a list, all or nothing, or any number as lines, each for itself. "
        "What is answered is durable.",
        query=(_FIELDS,),
        many=True,
        refusals=NOT_ACCEPTABLE,
        example={
            "parameters": {"source": "file:///srv/in.mkv", "target": "file:///srv/out.mp4", "codec": "h264"},
            "size": {"size_mb": 700, "duration_s": 1_800},
        },
        body=(JobSpec,),
        answers={
            200: Answer(kind=many.SubmittedList, lines=many.SubmittedLine),
            201: Answer(kind=answers.Job, etag=True, location="The job."),
        },
        links={"job": _OF_JOB},
    ),
    "GET /jobs/export": Operation(
        name="exportJobs",
        words="All jobs of the same filters, one a line, oldest first, sent in chunks.",
        query=(*FILTERS, OF_ENGINES, _FIELDS),
        refusals=NOT_ACCEPTABLE,
        answers={200: Answer(kind=answers.Job, media_type=LINES)},
    ),
    "POST /jobs:requeue": Operation(
        name="requeueJobs",
        words="Requeue the jobs of a filter: a dry run counts, the count confirms.",
        example=_MANY,
        body=(forms.ManyJobs,),
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.Many)},
    ),
    "POST /jobs:cancel": Operation(
        name="cancelJobs",
        words="Cancel the jobs of a filter: a dry run counts, the count confirms.",
        example=_MANY,
        body=(forms.ManyJobsBecause,),
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.Many)},
    ),
    "GET /jobs/{job_id}": Operation(
        name="getJob",
        words="One job, with its version as `ETag`.",
        query=(_FIELDS,),
        condition="If-None-Match",
        answers={**JOB, 304: Answer(etag=True)},
    ),
    "PATCH /jobs/{job_id}": Operation(
        name="editJob",
        words="Edit a waiting job by a JSON merge patch: what it does not name stays, null goes back to the default.",
        example={"priority": 10, "size": {"size_mb": 800}},
        body=(Edit,),
        condition="If-Match",
        refusals=frozenset({409, 412}),
        answers=JOB,
    ),
    "DELETE /jobs/{job_id}": Operation(
        name="deleteJob",
        words="Soft-delete a job; a waiting one is cancelled first, a running one is refused.",
        refusals=CONFLICT,
        answers=JOB,
    ),
    "POST /jobs/{job_id}/cancel": Operation(
        name="cancelJob",
        words="Cancel: at once if it waits; if it runs, its engine is asked to stop.",
        body=REASON,
        refusals=CONFLICT,
        answers=JOB,
    ),
    "POST /jobs/{job_id}/hold": Operation(
        name="holdJob",
        words="Keep a job from being granted until released.",
        body=REASON,
        refusals=CONFLICT,
        answers=JOB,
    ),
    "POST /jobs/{job_id}/release": Operation(
        name="releaseJob", words="End a hold.", body=NOTHING, refusals=CONFLICT, answers=JOB
    ),
    "POST /jobs/{job_id}/requeue": Operation(
        name="requeueJob",
        words="Open a new generation of an ended or failing job.",
        body=NOTHING,
        refusals=CONFLICT,
        answers=JOB,
    ),
    "POST /jobs/{job_id}/restore": Operation(
        name="restoreJob",
        words="Undo a deletion; never queues.",
        body=NOTHING,
        refusals=CONFLICT,
        answers=JOB,
    ),
    "POST /jobs/{job_id}/assign": Operation(
        name="assignJob",
        words="Pin the next grant to an engine, or unpin.",
        example={"engine_id": "engine-1", "reason": "a closer look"},
        body=(forms.Assignment,),
        refusals=CONFLICT,
        answers=JOB,
    ),
    "GET /jobs/{job_id}/history": Operation(
        name="jobHistory",
        words="What became of a job, one row a version, oldest first.",
        query=(LIMIT, PLACE, fields(EVENT_FIELDS)),
        answers={200: Answer(kind=answers.EventPage)},
    ),
    "GET /jobs/{job_id}/attempts": Operation(
        name="jobAttempts",
        words="Every attempt, first to last.",
        query=(fields(ATTEMPT_FIELDS),),
        answers={200: Answer(kind=answers.Attempts)},
    ),
    "GET /jobs/{job_id}/attempts/{number}": Operation(
        name="jobAttempt", words="One attempt.", answers={200: Answer(kind=answers.Attempt)}
    ),
    "GET /jobs/{job_id}/explain": Operation(
        name="explainJob",
        words="Why a job is where it is: the answer of every engine.",
        query=(Parameter("engine_id", EngineId, "The answer of this engine only."),),
        answers={200: Answer(kind=explanations.Explanation)},
    ),
    "GET /history/export": Operation(
        name="exportHistory",
        words="All events in their order, one a line, sent in chunks.",
        query=(PLACE, fields(EVENT_FIELDS)),
        refusals=NOT_ACCEPTABLE,
        answers={200: Answer(kind=answers.Event, media_type=LINES)},
    ),
}
