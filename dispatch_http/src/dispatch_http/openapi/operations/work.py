"""Work: what engines claim and report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from dispatch_core import Bound, Progress, Text
from dispatch_http import forms
from dispatch_http.openapi import answers, explanations
from dispatch_http.openapi.operations.operation import (
    CONFLICT,
    ENGINE_ID,
    SETTINGS,
    Answer,
    Operation,
    Parameter,
)
from dispatch_http.openapi.schemas import Keywords

_HELD = {"token": "0123456789ab.1", "engine_id": "engine-1"}
_OF_LEASE = (
    "renewLease",
    "reportProgress",
    "reportStatus",
    "patchStatus",
    "completeJob",
    "failJob",
    "jobAttempt",
    "cancelJob",
)

WORK: Mapping[str, Operation] = {
    "PUT /jobs/{job_id}/status": Operation(
        name="reportStatus",
        words="Report how an attempt ended. A repeat gets the same answer.",
        example=_HELD | {"status": "completed", "result": {"size_bytes": 1_000_000}},
        body=(forms.StatusReport,),
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.Attempt)},
    ),
    "PATCH /jobs/{job_id}/status": Operation(
        name="patchStatus",
        words="The same as `PUT`.",
        body=(forms.StatusReport,),
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.Attempt)},
    ),
    "POST /jobs/{job_id}/complete": Operation(
        name="completeJob",
        words="Report success: the short form of the status report.",
        example=_HELD | {"result": {"size_bytes": 1_000_000}},
        body=(forms.ShortForm,),
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.Attempt)},
    ),
    "POST /jobs/{job_id}/fail": Operation(
        name="failJob",
        words="Report failure: the short form of the status report.",
        example=_HELD | {"error": {"failure_class": "engine", "message": "ran out of memory"}},
        body=(forms.ShortForm,),
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.Attempt)},
    ),
    "PUT /jobs/{job_id}/progress": Operation(
        name="reportProgress",
        words="Report progress, which also renews the lease.",
        example=_HELD | {"fraction": 0.5, "speed": 2.5},
        body=(forms.HeldToken, Progress),
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.LeaseStatus)},
    ),
    "POST /jobs/{job_id}/renew": Operation(
        name="renewLease",
        words="Extend a lease.",
        example=_HELD,
        body=(forms.HeldToken,),
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.LeaseStatus)},
    ),
    "GET /queue/next_job": Operation(
        name="previewClaim",
        words="What a claim would see now. Changes nothing.",
        query=(ENGINE_ID,),
        refusals=frozenset({404}),
        answers={200: Answer(kind=explanations.ClaimPreview)},
    ),
    "POST /queue/next_job": Operation(
        name="claim",
        words="Claim a job. Be ready to hear `nothing` before `wait` is over.",
        query=(
            ENGINE_ID,
            Parameter("session", Text, "The session it registered with.", required=True),
            Parameter(
                "wait",
                Annotated[str, Keywords({"pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?$"})],
                f"How many seconds to wait for work, {SETTINGS.wait_max_s:g} at most.",
                default="0",
            ),
            Parameter(
                "limit", Annotated[int, Bound(1, 100)], "Claim up to so many: the answer is a list of leases."
            ),
        ),
        refusals=frozenset({404, 409}),
        answers={
            201: Answer(kind=answers.Lease | answers.Leases, location="The first attempt."),
            204: Answer(),
        },
        links={"lease": _OF_LEASE},
    ),
}
