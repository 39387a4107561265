"""A fleet of emulated older engines and their client against the real server: every job ends once."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from dispatch_core.storage import create_storage
from dispatch_core.testing.checkers import all_jobs, check_store
from dispatch_core.vocabulary.records import RecordType
from tests.http.legacy.emulated import HOPELESS, POISON, Client, Engine, Pace, Wire, Witness
from tests.soak.killing import Server

ENDED = ("completed", "failed_permanently", "cancelled")
PATIENCE_S = 600


async def _run(server: Server, pace: Pace, engines: int, jobs: int, kills: int) -> Witness:
    witness = Witness()
    wire = Wire(server.port, pace, witness)
    client = Client(wire)
    fleet = [asyncio.create_task(Engine(number, wire).run()) for number in range(engines)]
    try:
        await _submitted(client, jobs)
        for _ in range(kills):
            await asyncio.sleep(random.Random(kills).uniform(5, 10) * pace.scale)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await _all_ended(client, fleet, pace)
    finally:
        for task in fleet:
            task.cancel()
        await asyncio.gather(*fleet, return_exceptions=True)
    return witness


async def _submitted(client: Client, jobs: int) -> None:
    sources = {number: POISON if number % 2 else HOPELESS for number in range(5, jobs, max(jobs // 8, 1))}
    for number in range(jobs):
        assert await client.submit(number, sources)


async def _all_ended(client: Client, fleet: list[asyncio.Task[None]], pace: Pace) -> None:
    until = time.monotonic() + PATIENCE_S * max(pace.scale, 0.1)
    while True:
        states = await client.states()
        if states is not None and sum(states[each] for each in ENDED) == states.total():
            return
        assert time.monotonic() < until, states
        assert not any(task.done() for task in fleet), [task for task in fleet if task.done()]
        await asyncio.sleep(2 * pace.scale)


def _judge(database: Path, witness: Witness) -> Counter[str]:
    """From the file alone: every job that was acknowledged is there, has ended, and was completed at most once."""
    storage = create_storage(database)
    try:
        check_store(storage, accepted=set(witness.submitted))
        with storage.read() as snapshot:
            jobs = all_jobs(snapshot)
            endings = Counter({job.id: 0 for job in jobs})
            for job in jobs:
                rows = snapshot.history(of=(RecordType.JOB, job.id), limit=10_000)
                endings[job.id] += sum(
                    row.event in ("job-completed", "job-failed", "job-cancelled")
                    or row.data.get("into") == "failed_permanently"
                    for row in rows
                )
    finally:
        storage.close()
    assert {job_id: count for job_id, count in endings.items() if count != 1} == {}, "every job ends once"
    assert witness.completed <= {job.id for job in jobs if job.state == "completed"}
    assert witness.wrong == []
    return Counter(job.state.value for job in jobs) + Counter(attempts=sum(job.attempts_used for job in jobs))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


QUICK = Pace(scale=0.03, work_s=(0.5, 3), crash_after_s=25)


@pytest.mark.parametrize(
    ("pace", "engines", "jobs", "kills"),
    [
        pytest.param(QUICK, 10, 60, 1, id="some"),
        pytest.param(Pace(), 50, 1_000, 3, id="many", marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_every_job_ends_once(tmp_path: Path, pace: Pace, engines: int, jobs: int, kills: int) -> None:
    """Engines crash, freeze beyond their leases, lose reports and start again; the server is killed, too."""
    spans = {
        "lease_ttl_s": 30,
        "heartbeat_s": 5,
        "silent_after_s": 15,
        "lost_after_s": 300,
        "late_report_s": 30,
    }
    settings = {name: span * pace.scale for name, span in spans.items()}
    server = Server(tmp_path / "jobs.db", _free_port(), tick_s=min(0.5, pace.scale), **settings)
    server.start()
    began = time.monotonic()
    witness = asyncio.run(_run(server, pace, engines, jobs, kills))
    took_s = time.monotonic() - began
    assert server.stop() == 0
    states = _judge(tmp_path / "jobs.db", witness)
    print(f"\n{jobs} jobs, {engines} engines, {took_s:.0f} s: {dict(states)}; seen: {dict(witness.seen)}")
    assert states["completed"] > jobs * 0.8
