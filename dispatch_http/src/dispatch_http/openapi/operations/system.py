"""The system: counts, versions, health, and the description of all this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from dispatch_core import Bound, Length
from dispatch_http.logs import LEVELS, LINES_MAX
from dispatch_http.openapi import answers
from dispatch_http.openapi.operations.operation import Answer, Operation, Parameter, choice
from dispatch_http.openapi.schemas import Instant

SYSTEM: Mapping[str, Operation] = {
    "GET /status": Operation(
        name="status",
        words="Counts of jobs and engines, and whether the accounting holds.",
        answers={200: Answer(kind=answers.Status)},
    ),
    "GET /version": Operation(
        name="version", words="The version that answers.", answers={200: Answer(kind=answers.Version)}
    ),
    "GET /health/live": Operation(
        name="live",
        words="200 as long as the process answers.",
        answers={200: Answer(kind=answers.Health)},
    ),
    "GET /health/ready": Operation(
        name="ready",
        words="200 if the store answers; 503 while the server drains or the store does not.",
        refusals=frozenset({503}),
        answers={200: Answer(kind=answers.Health)},
    ),
    "GET /logs": Operation(
        name="logs",
        words="The latest lines of the log, oldest first.",
        query=(
            Parameter("level", choice(LEVELS), "Lines of this level and above.", default="debug"),
            Parameter("logger", Annotated[str, Length(1, 255)], "Lines of this part of the program."),
            Parameter("since", Instant, "Lines written then or later."),
            Parameter("limit", Annotated[int, Bound(1, LINES_MAX)], "At most so many.", default=100),
        ),
        answers={200: Answer(kind=answers.LogLines)},
    ),
    "GET /metrics": Operation(
        name="metrics",
        words="Counts and times for Prometheus.",
        answers={200: Answer(kind=str, media_type="text/plain")},
    ),
    "GET /openapi.json": Operation(
        name="openapi",
        words="This document.",
        answers={
            200: Answer(kind=Mapping[str, object], media_type="application/vnd.oai.openapi+json;version=3.1")
        },
    ),
    "GET /docs": Operation(
        name="docs", words="This document as a page.", answers={200: Answer(kind=str, media_type="text/html")}
    ),
}
