"""Maintenance windows: times in which engines get no work."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_core.forms import WINDOW_FIELDS
from dispatch_http import forms
from dispatch_http.openapi import answers
from dispatch_http.openapi.operations.operation import CONFLICT, Answer, Operation, fields

WINDOWS: Mapping[str, Operation] = {
    "GET /windows": Operation(
        name="listWindows",
        words="Maintenance windows that are not over, the first to begin first.",
        query=(fields(WINDOW_FIELDS),),
        answers={200: Answer(kind=answers.Windows)},
        links={"windows": ("endWindow",)},
    ),
    "POST /windows": Operation(
        name="planWindow",
        words="Plan a time in which an engine, or with null all engines, get no work.",
        example={"engine_id": None, "ends_at": "2090-01-31T12:00:00Z", "reason": "new disks"},
        body=(forms.Plan,),
        refusals=CONFLICT | {404},
        answers={201: Answer(kind=answers.Window, location="The window.")},
        links={"window": ("endWindow",)},
    ),
    "DELETE /windows/{window_id}": Operation(
        name="endWindow",
        words="End a window now, or call it off.",
        refusals=CONFLICT,
        answers={200: Answer(kind=answers.Window)},
    ),
}
