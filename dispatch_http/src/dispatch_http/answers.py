"""Answers: core values in their edge forms, with the headers that belong to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import falcon
import orjson

from dispatch_core import Attempt, Dispatcher, Engine, Job, UnknownEngineError
from dispatch_core.forms import attempt_form, engine_form, job_form

MEDIA_TYPE = "application/json"


def send(
    resp: falcon.Response, form: Mapping[str, Any] | Sequence[Mapping[str, Any]], status: int = 200
) -> None:
    """Answer with a form."""
    resp.status = status
    resp.content_type = MEDIA_TYPE
    resp.data = orjson.dumps(form, default=dict)


def send_job(resp: falcon.Response, job: Job, status: int = 200) -> None:
    """Answer with a job; its version is the entity tag."""
    resp.etag = str(job.version)
    send(resp, job_form(job), status)


def send_attempt(resp: falcon.Response, attempt: Attempt) -> None:
    """Answer with an attempt."""
    send(resp, attempt_form(attempt))


def send_engine(resp: falcon.Response, engine: Engine, dispatcher: Dispatcher, status: int = 200) -> None:
    """Answer with an engine as a command left it, with its last sign of life and what it runs now."""
    try:
        now = dispatcher.engine(engine.id)
        form = engine_form(engine, now.pulse, tuple(now.attempts))
    except UnknownEngineError:
        form = engine_form(engine, None)
    resp.etag = str(engine.version)
    send(resp, form, status)
