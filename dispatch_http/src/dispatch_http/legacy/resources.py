"""The older fleet's paths. Errors are problems, as everywhere; it looks at the status only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs
import falcon
import orjson
from attrs import frozen

from dispatch_core import Benchmark, Dispatcher, Job, Page, Query
from dispatch_http.answers import MEDIA_TYPE, send
from dispatch_http.desk import Desk
from dispatch_http.legacy import fleet
from dispatch_http.legacy.kind import DISTCONV
from dispatch_http.legacy.reading import (
    Advance,
    Measured,
    NewPool,
    Submission,
    engine_key,
    engine_name,
    known,
    storable,
)
from dispatch_http.legacy.shapes import engine_shape, job_shape, pool_shape

BENCHMARK = "distconv/start"
"""The task class of what older engines measure at their start. No job has it, so it guides no choice."""


def send_text(resp: falcon.Response, text: str) -> None:
    """Answer with a line that nobody reads."""
    resp.content_type = falcon.MEDIA_TEXT
    resp.text = text


@frozen
class Root:
    """The root, by which old monitors see that somebody is there."""

    when_draining = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Somebody is."""
        send_text(resp, "OK")

    on_head = on_get


@frozen
class Health:
    """The health of the process, as the older server tells it."""

    when_draining = True

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """It answers, so it is healthy."""
        send(resp, {"status": "healthy"})

    on_head = on_get


@frozen
class Jobs:
    """The collection."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Submit one. The client takes 200 only."""
        submission = known(Submission, self.desk.body(req))
        send(resp, job_shape(self.desk.acting(req).submit(submission.spec())))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of them, the youngest first, as one array that is sent while it is read."""
        asking = self.desk.asking(req)
        query = Query(
            where={"kind": (DISTCONV.name,)},
            sort="created_us",
            descending=True,
            limit=self.desk.settings.page_max,
        )
        resp.content_type = MEDIA_TYPE
        resp.stream = _array(asking, query, asking.jobs(query))


def _array(asking: Dispatcher, query: Query, page: Page) -> Iterator[bytes]:
    """One JSON array over every page; the first is read before the answer begins, while it may still fail."""
    before = b"["
    while True:
        rows = [orjson.dumps(job_shape(job), default=dict) for job in page.records if isinstance(job, Job)]
        if rows:
            yield before + b",".join(rows)
            before = b","
        if page.next is None:
            break
        page = asking.jobs(attrs.evolve(query, after=page.next))
    yield b"[]" if before == b"[" else b"]"


@frozen
class OneJob:
    """A single one."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Show it, and how far it is."""
        asking = self.desk.asking(req)
        job = fleet.find(asking, job_id)
        send(resp, job_shape(job, fleet.live_attempt(asking, job)))


@frozen
class JobVerb:
    """A verb that takes no fields: what the body holds is not looked at."""

    desk: Desk
    verb: Callable[[Dispatcher, str], Job]

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Do it."""
        send(resp, job_shape(self.verb(self.desk.acting(req), job_id)))


@frozen
class Report:
    """The end of an attempt, told by the job's id alone. Sent once; a repeat gets the job as it is."""

    desk: Desk
    verb: Callable[[Dispatcher, str, object], Job]
    told: str

    def take(self, req: falcon.Request, resp: falcon.Response, job_id: str, data: object) -> None:
        """Take it down. What is no object, or says nothing, is a report all the same."""
        told = data.get(self.told) if isinstance(data, Mapping) else None
        send(resp, job_shape(self.verb(self.desk.acting(req), job_id, told)))


@frozen
class JobProgress:
    """How far a job is."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Take it down."""
        advance = known(Advance, self.desk.body(req, clean=False))
        fleet.progress(self.desk.acting(req), job_id, advance)
        send(
            resp, {"job_id": job_id, "progress": int(advance.progress), "message": storable(advance.message)}
        )


@frozen
class AssignJob:
    """Work for an engine that asks."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A job, or 204 if there is none."""
        name = engine_name(self.desk.body(req, clean=False))
        lease = fleet.assign(self.desk.acting(req), name)
        if lease is None:
            resp.status = 204
        else:
            send(resp, job_shape(lease.job) | {"assigned_engine": storable(name)})


@frozen
class Engines:
    """The older fleet."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All its engines, the one heard last first."""
        shapes = [engine_shape(each) for each in self.desk.asking(req).engines() if fleet.is_older(each)]
        send(resp, sorted(shapes, key=lambda shape: -shape["last_heartbeat"]))


@frozen
class Heartbeat:
    """An engine's sign of life. The first one must be heard, or the engine gives up."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take down who is alive; whatever else it says may be anything."""
        data = self.desk.body(req, clean=False)
        name = engine_name(data)
        fleet.heartbeat(self.desk.acting(req), name, data)
        send_text(resp, "Heartbeat received")


@frozen
class BenchmarkResult:
    """What an engine measures when it starts: how fast its ffmpeg says its version."""

    desk: Desk

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take it down; it says little about transcoding."""
        data = self.desk.body(req, clean=False)
        engine_id = engine_key(engine_name(data))
        seconds = known(Measured, data).benchmark_time
        asking = self.desk.acting(req)
        asking.engine(engine_id)
        if seconds > 0:
            cell = Benchmark(task_class=BENCHMARK, units_per_s=min(max(1 / seconds, 1e-9), 1e9))
            asking.report_benchmark(engine_id, [cell])
        send_text(resp, "Benchmark result received")


@frozen
class StoragePools:
    """The storage pools, which are the present ones."""

    desk: Desk

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of them."""
        send(resp, [pool_shape(room.pool) for room in self.desk.asking(req).pools.list()])

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make one."""
        wanted = known(NewPool, self.desk.body(req))
        pool = self.desk.acting(req).pools.create(wanted.id, wanted.spec())
        send(resp, pool_shape(pool), 201)
