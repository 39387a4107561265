"""Answers: core values in their edge forms, with the headers that belong to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import falcon
import orjson

from dispatch_core import Attempt, Dispatcher, Engine, Job, UnknownEngineError
from dispatch_core.forms import Form, attempt_form, engine_form, only
from dispatch_http.desk import Desk

MEDIA_TYPE = "application/json"
LINES_TYPE = "application/x-ndjson"
_CHUNK_BYTES = 65_536


def send(
    resp: falcon.Response, form: Mapping[str, Any] | Sequence[Mapping[str, Any]], status: int = 200
) -> None:
    """Answer with a form."""
    resp.status = status
    resp.content_type = MEDIA_TYPE
    resp.data = _dumped(form)


def _dumped(form: object) -> bytes:
    """The JSON text of a form; in ASCII if it quotes what a caller sent and UTF-8 cannot say, a lone surrogate."""
    try:
        return orjson.dumps(form, default=dict)
    except orjson.JSONEncodeError:
        return json.dumps(form, default=dict).encode()


def send_job(
    resp: falcon.Response, desk: Desk, job: Job, status: int = 200, fields: Sequence[str] = ()
) -> None:
    """Answer with a job, or these fields of it; its version is the entity tag."""
    resp.etag = str(job.version)
    send(resp, desk.job_form(job, fields), status)


def send_attempt(resp: falcon.Response, attempt: Attempt) -> None:
    """Answer with an attempt."""
    send(resp, attempt_form(attempt))


def send_engine(
    resp: falcon.Response,
    engine: Engine,
    dispatcher: Dispatcher,
    status: int = 200,
    fields: Sequence[str] = (),
) -> None:
    """Answer with an engine as a command left it, with its last sign of life and what it runs now."""
    try:
        now = dispatcher.engine(engine.id)
        form = engine_form(engine, now.pulse, tuple(now.attempts), now.windows)
    except UnknownEngineError:
        form = engine_form(engine, None)
    resp.etag = str(engine.version)
    send(resp, only(form, fields), status)


def send_lines(req: falcon.Request, resp: falcon.Response, forms: Iterable[Form]) -> None:
    """Answer with one form a line, in chunks as they are made: however many there are, few are in memory.

    What fails before the first chunk is a problem like any other. What fails later cuts the answer off, so that no
    caller takes a part for the whole. A caller who leaves ends the iteration.
    """
    if not req.client_accepts(LINES_TYPE):
        raise falcon.HTTPNotAcceptable(description=f"this is sent as {LINES_TYPE} only")
    chunks = _chunks(forms)
    first = next(chunks, b"")
    resp.content_type = LINES_TYPE
    resp.stream = _again(first, chunks)


def _chunks(forms: Iterable[Form]) -> Iterator[bytes]:
    waiting = bytearray()
    for form in forms:
        waiting += _dumped(form)
        waiting += b"\n"
        if len(waiting) >= _CHUNK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
