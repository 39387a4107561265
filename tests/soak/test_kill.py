"""SIGKILL on the real server under load: nothing acknowledged is lost, nothing is granted twice."""

from __future__ import annotations

import os
import random
import socket
import statistics
import threading
import time
from pathlib import Path

import pytest

from dispatch_core.ports.storage import Query
from dispatch_core.storage import create_storage
from dispatch_core.testing.checkers import all_jobs, check_store
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.records import RecordType
from tests.soak.killing import Acknowledged, Client, Server

CLIENTS = 8


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cycles(folder: Path, cycles: int) -> tuple[Acknowledged, list[float]]:
    server = Server(folder / "jobs.db", _free_port())
    told, stop, dice = Acknowledged(), threading.Event(), random.Random(cycles)
    ready = [server.start()]
    clients = [Client(number, server.port, told, stop) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for _ in range(cycles):
            time.sleep(dice.uniform(0.2, 0.8))
            server.kill()
            ready.append(server.start())
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert [client.failure for client in clients if client.failure] == []
    assert server.stop() == 0
    return told, ready


def _judge(database: Path, told: Acknowledged) -> None:
    """From the file alone: everything acknowledged is there, each job was granted and completed once."""
    storage = create_storage(database)
    try:
        check_store(storage, accepted=told.submitted)
        with storage.read() as snapshot:
            jobs = {job.id: job for job in all_jobs(snapshot)}
            page = snapshot.find(RecordType.ATTEMPT, Query(sort="granted_us", limit=1))
    finally:
        storage.close()
    assert len(page.records) == 1
    lost = {job_id for job_id in told.completed if jobs[job_id].state != "completed"}
    assert lost == set(), "acknowledged completions were lost"
    missing = [key for key in told.granted if not _was_granted(jobs[key[0]], key[1])]
    assert missing == [], "acknowledged grants were lost"
    assert told.doubled == [], "a job was granted twice"
    assert [job.id for job in jobs.values() if job.last_attempt > 1] == []


def _was_granted(job: Job, token: str) -> bool:
    return job.last_attempt >= int(token.rpartition(".")[2])


@pytest.mark.parametrize(
    "cycles",
    [2, pytest.param(int(os.environ.get("DISPATCH_SOAK_CYCLES", "50")), marks=pytest.mark.soak)],
    ids=["few", "many"],
)
def test_nothing_acknowledged_is_lost(tmp_path: Path, cycles: int) -> None:
    """After every SIGKILL the server is ready again, and at the end the file holds all that was told."""
    told, ready = _cycles(tmp_path, cycles)
    _judge(tmp_path / "jobs.db", told)
    print(
        f"\n{cycles} kills, {told.commands:,} commands acknowledged, {told.repeated} repeated, 0 lost, 0 doubled; "
        f"ready again after {statistics.median(ready):.2f} s (median), {max(ready):.2f} s at most"
    )
    assert told.commands > 10 * cycles
