"""The page about the older fleet's protocol: its paths from the table of routes, its objects from a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from dispatch_core import TRANSCODE, Dispatcher, ManualClock, SeededIds
from dispatch_core.storage import MemoryStorage
from dispatch_http.admission import Gate
from dispatch_http.desk import Desk
from dispatch_http.legacy import fleet
from dispatch_http.legacy.frontend import MET, older_routes
from dispatch_http.legacy.kind import DISTCONV
from dispatch_http.legacy.reading import Submission
from dispatch_http.legacy.shapes import engine_shape, job_shape
from dispatch_http.settings import HttpSettings

_TEXT = """# The older protocol

What the server answers to engines and clients of distconv. How to switch it on and off, and what it can promise, is told in
[serve the older fleet](../how-to/serve-the-older-fleet.md).

- Bodies are JSON, sent as `application/json`. Fields beyond those named here are dropped.
- `X-API-Key` carries the key; a wrong or missing one is 401. `GET /` and `GET /health` need none.
- Every path is exact: `/jobs/` is not `/jobs`. Nothing is redirected.
- Query parameters are ignored. Times are whole milliseconds since 1970 in UTC, sizes are megabytes (1,000,000 bytes).
- Errors are [problems](errors.md), as everywhere: 400 for what is no JSON, 404 for an unknown job or engine, 409 for what the
  state refuses, 422 for a field that is missing or unfit.

## Paths

{paths}

Not served: `PUT /jobs/{{id}}`, which could change anything; `/tdarr/…` and `/api/v1/…`, which no engine
or client of that fleet calls.

## A job

```json
{job}
```

`job_size` is always a number. Where there is something to say, a job also has `error_message`, `retry_after` (a time),
`progress` and `progress_message`.

`status` is `pending`, `assigned`, `completed`, `failed_retry`, `failed_permanently` or `cancelled`. A `max_retries` above 99
and a `priority` beyond ±100 are cut; the answer shows what holds. What follows a failure is the retry policy's decision, as
for every job.

## An engine

```json
{engine}
```

Status, queue and current job are what the server knows; `status` is `idle`, `busy`, `silent` or `lost`. The rest is what the
engine said when it started.

An engine whose name cannot be an id gets an id made of it in the present API, and keeps its name here. An id that a live
present engine has is refused with 409.

## A storage pool

`id`, `name`, `capacity_gb`, `used_gb` (gigabytes of 1,000,000,000 bytes), `path` and `created_at`. These are the storage pools of
the present API; jobs of the older fleet use none.

## How the server reads the engines' habits

| it sees | it knows |
|---|---|
| a heartbeat with `supported_codecs` | the process has just started: what it held before is given up |
| any other heartbeat | the engine lives; what it holds is renewed, whatever `status` it claims |
| `/assign_job/` from an engine that holds a job | the engine does not work on that job: the attempt ends, counted, and the same or another job is given out as a new attempt |
| a report | the job's present attempt has ended so, even if its lease has run out; without such an attempt nothing changes |
| nothing for `lease_ttl_s` | the job goes back to the queue |

A benchmark result is kept as the task class `distconv/start` of the engine. It tells how long the engine's ffmpeg takes to say
its version, so no choice rests on it.

## Where both protocols have the same path

`GET /jobs/{{job_id}}` and `POST /jobs/{{job_id}}/cancel` answer in the older form if the key came as `X-API-Key` and the job is
of the kind `distconv`; otherwise in the [present form](http.md). `Authorization: Bearer` always gets the present form.

`/jobs/{{job_id}}/progress` is the older one for `POST`, the present one for `PUT`. `POST /jobs/{{job_id}}/complete` and `/fail` are
the present ones if the body names a `token`, and the older ones if it does not. While the older fleet is served, no present
engine can be called `heartbeat` or `benchmark_result`.
"""


def older_page(
    section: Callable[[str, Sequence[str]], Mapping[str, str]],
    table: Callable[[Sequence[str], Sequence[Sequence[str]]], str],
) -> str:
    """The page."""
    clock = ManualClock()
    with Dispatcher(MemoryStorage(clock), kinds=(TRANSCODE, DISTCONV), ids=SeededIds()) as dispatcher:
        desk = Desk(dispatcher=dispatcher, settings=HttpSettings(), gate=Gate(1))
        own = [
            f"{verb} {route.path}" for route in older_routes(desk) for verb in route.scope if verb != "HEAD"
        ]
        said = section("older_routes", [*own, *(f"{verb} {path}" for verb, path in MET)])
        paths = table(
            ["method", "path", "what it does"],
            [[*(f"`{word}`" for word in route.split(" ")), text] for route, text in said.items()],
        )
        submission = Submission(
            source_url="http://media.example/in.mov", target_codec="libx264", job_size=12.5
        )
        dispatcher.submit(submission.spec())
        fleet.heartbeat(dispatcher, "box-7", {"hostname": "box-7", "supported_codecs": ["h264", "vp9"]})
        lease = fleet.assign(dispatcher, "box-7")
        assert lease is not None
        job, engine = job_shape(lease.job), engine_shape(dispatcher.engine("box-7"))
    return _TEXT.format(paths=paths, job=_shown(job), engine=_shown(engine))


def _shown(shape: Mapping[str, object]) -> str:
    return json.dumps(shape, indent=2, ensure_ascii=False, default=dict)
