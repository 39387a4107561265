"""What a request costs without a network: CPU of the thread that answers it, and of the writer and the log behind it."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import falcon
from falcon.testing import create_environ

from benchmarks.http.loads import BATCH, SESSION, profile, spec
from benchmarks.http.noop import application
from benchmarks.suite import Outcome, Scale
from dispatch_core import Dispatcher
from dispatch_core.storage import create_storage
from dispatch_http.admission import WsgiApp, counted
from dispatch_http.app import create_app
from dispatch_http.logs import Ring, logging_to

ENGINES = 4
NOTES = (
    "Medians, on SQLite (WAL, FULL), the application called in this process, one request after the other.",
    "So each command is a batch of its own, which under load it is not, and no thread waits for the interpreter.",
    "After each commit a request meets cold caches: the same one again and again costs the edge half as much.",
)


class Edge:
    """Sends requests to an application, and keeps what each kind of them cost."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self.costs: dict[str, list[tuple[int, int]]] = {}

    def ask(self, kind: str, method: str, target: str, form: object = None) -> Any:
        """The form of the answer; None if there is none."""
        path, _, query = target.partition("?")
        body = b"" if form is None else json.dumps(form).encode()
        headers = {"Content-Type": "application/json"} if body else {}
        environ = create_environ(path, query, method=method, body=body, headers=headers, host="localhost")
        told: list[str] = []
        whole, own = time.process_time_ns(), time.thread_time_ns()
        answer = b"".join(self._app(environ, lambda status, *_: told.append(status)))
        own, whole = time.thread_time_ns() - own, time.process_time_ns() - whole
        assert told[0][:1] == "2", answer
        self.costs.setdefault(f"{kind}, {told[0][:3]}", []).append((own, whole - own))
        return json.loads(answer) if answer else None


def one_by_one(edge: Edge, number: int) -> None:
    """A lifecycle, a heartbeat, and a request that asks the core nothing."""
    edge.ask("submit", "POST", "/jobs", spec(number))
    for each in range(ENGINES):  # the job is left to one of them
        claim = f"/queue/next_job?engine_id=engine-{(number + each) % ENGINES}&session={SESSION}"
        lease = edge.ask("claim", "POST", claim)
        if lease is not None:
            break
    else:
        return
    report = {"token": lease["token"], "engine_id": lease["engine_id"], "status": "completed"}
    edge.ask("report", "PUT", f"/jobs/{lease['job_id']}/status", report)
    edge.ask("heartbeat", "POST", "/engines/engine-1/heartbeat", {"session": SESSION})
    edge.ask("version", "GET", "/version")


def in_batches(edge: Edge, number: int) -> None:
    """A hundred lifecycles in three requests."""
    engine = f"engine-{number % ENGINES}"
    edge.ask(f"submit {BATCH}", "POST", "/jobs?fields=id", [spec(each) for each in range(BATCH)])
    claim = f"/queue/next_job?engine_id={engine}&session={SESSION}&limit={BATCH}"
    found = edge.ask(f"claim {BATCH}", "POST", claim)
    if found is not None:
        ends = [
            {"job_id": each["job_id"], "token": each["token"], "status": "completed"}
            for each in found["leases"]
        ]
        edge.ask(f"report {BATCH}", "POST", f"/engines/{engine}/reports", {"reports": ends})


@contextmanager
def opened(folder: Path) -> Iterator[Edge]:
    """An application on a new store, and engines that are alike."""
    ring, storage = Ring(), create_storage(str(folder / "edge.db"))
    with (
        closing(storage),
        (folder / "log").open("w", encoding="utf-8") as stream,
        logging_to(ring, json=True, stream=stream) as log,
        Dispatcher(storage, group_commit=True) as dispatcher,
    ):
        app = create_app(dispatcher, log=log, ring=ring)
        edge = Edge(counted(app, app.gate))
        for number in range(ENGINES):
            body = {"session": SESSION, "profile": profile()}
            edge.ask("register", "PUT", f"/engines/engine-{number}", body)
        yield edge


def run(scale: Scale) -> Outcome:
    """Each kind of request; and a Falcon application that does nothing."""
    many = 200 if scale.quick else 2_000
    nothing: falcon.App[Any, Any] = application()
    idle = Edge(nothing)
    with tempfile.TemporaryDirectory() as name, opened(Path(name)) as edge:
        for warm in (True, False):
            edge.costs.clear()
            idle.costs.clear()
            for number in range(20 if warm else many):
                one_by_one(edge, number)
                idle.ask("no-op Falcon", "POST", "/noop", spec(number))
            for number in range(3 if warm else max(many // 20, 20)):
                in_batches(edge, number)
    kinds = idle.costs | edge.costs
    return Outcome(rows=[_row(kind, costs) for kind, costs in kinds.items()], notes=NOTES)


def _row(kind: str, costs: list[tuple[int, int]]) -> dict[str, object]:
    own, others = (statistics.median(each) / 1_000 for each in zip(*costs, strict=True))
    return {"request, status": kind, "edge µs": own, "writer and log µs": others, "requests": len(costs)}
