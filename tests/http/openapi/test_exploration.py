"""A small slice of what `make soak` does at length: requests made from the description, answers held against it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl

import pytest

from dispatch_core import Dispatcher, DispatchError, JobSpec, Profile, SeededIds
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.checkers import check_store
from dispatch_http.admission import WsgiApp
from dispatch_http.app import create_app
from dispatch_http.observing import make_log
from dispatch_http.settings import HttpSettings, api_key
from tests.http.openapi.exploring import explore

KEY = "a-key-of-some-length"


LIFE = {"POST /jobs", "POST /jobs/{job_id}/cancel", "PUT /engines/{engine_id}", "POST /queue/next_job",
        "POST /jobs/{job_id}/renew", "PUT /jobs/{job_id}/progress", "PUT /jobs/{job_id}/status",
        "PATCH /jobs/{job_id}/status"}  # fmt: skip
# These take what others take, too.
ALIKE = ("/jobs/export", "/jobs:cancel", "/engines/{engine_id}/jobs")
SPEC = JobSpec(parameters={"source": "in.mp4", "target": "out.mp4"})
PROFILE = Profile(slots=1_000, facts={"codec": ("h264",)})


@contextmanager
def server() -> Iterator[WsgiApp]:
    """A real application on a store in memory. In the end its books balance, and it has never failed."""
    log, storage = io.StringIO(), MemoryStorage()
    with Dispatcher(storage, ids=SeededIds(1)) as dispatcher:
        app = create_app(dispatcher, HttpSettings(keys=(api_key(KEY),), requests_per_s=0), log=make_log(log))
        yield tended(app, dispatcher)
        dispatcher.tick()
        check_store(storage)
    failed = [line for line in log.getvalue().splitlines() if '"event": "failure"' in line]
    assert failed == [], "\n".join(failed[:3])


def tended(app: WsgiApp, dispatcher: Dispatcher) -> WsgiApp:
    """The same application, but somebody sees to it that claims by engines that exist find work.

    Requests by chance hardly ever leave an engine able and a job free, and nothing after a claim would be seen.
    """
    dispatcher.register("engine-1", PROFILE, session="first-start")

    def run(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = dict(parse_qsl(environ["QUERY_STRING"], max_num_fields=100))
        if environ["PATH_INFO"] == "/queue/next_job" and "engine_id" in asked:
            with suppress(DispatchError):
                tend(dispatcher, asked["engine_id"])
        return app(environ, start_response)

    return run


def tend(dispatcher: Dispatcher, engine_id: str) -> None:
    """The engine is back at work in its present session, and there is a job for it."""
    session = dispatcher.engine(engine_id).engine.session
    dispatcher.register(engine_id, PROFILE, session=session)
    dispatcher.resume(engine_id)
    dispatcher.submit(SPEC)


@pytest.mark.checklist(90)
def test_every_answer_is_as_described() -> None:
    """At the edges of every schema, and a little beyond: no 5xx, no undocumented status, header or field."""
    with server() as app:
        found = explore(app, KEY, examples=1, phases=("coverage",), but_for=ALIKE)
    assert found.failures == []
    assert found.cases > 1_000


@pytest.mark.checklist(90)
def test_what_follows_from_an_answer_is_as_described() -> None:
    """Along the links: submit, show, edit, cancel; register, claim, renew, report."""
    with server() as app:
        found = explore(app, KEY, examples=6, phases=("stateful",))
    assert found.failures == []
    assert found.succeeded() & LIFE, "by chance not all of it, in so few steps; `make soak` insists on all"
