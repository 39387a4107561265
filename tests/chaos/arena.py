"""A run of chaos: servers, engines and clients as processes, what befalls them by a seed, and the judgement after."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random

from attrs import define, field, frozen

from dispatch_core.kernel.evolve import evolve
from dispatch_core.ports.storage import Storage, Transaction
from dispatch_core.shell.wire import event_from_plain
from dispatch_core.storage import create_storage, verify_store
from dispatch_core.testing.checkers import all_jobs, check_store
from dispatch_core.testing.histories import (
    Act,
    Allowance,
    HistoryReport,
    HistoryVerdict,
    Logbook,
    Operation,
    appending,
    check_history,
    read_logs,
)
from dispatch_core.vocabulary.events import JobEvent, JobRequeued
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.records import RecordType
from tests.chaos.caller import Caller
from tests.chaos.crew import Crew
from tests.chaos.roles import JOB, Part
from tests.soak.killing import Server

LATEST_S = 90.0
"""How long after the last mishap everything must have ended."""


@frozen(kw_only=True)
class Scale:
    """How large a run is, in jobs and seconds. Mishaps happen in the middle of ``spread_s``."""

    jobs: int
    spread_s: float
    lease_s: float
    frozen_s: float
    down_s: float
    engines: int = 6
    clients: int = 3


@frozen(kw_only=True, order=True)
class Mishap:
    """What happens to whom, when after the start."""

    at_s: float
    what: str
    whom: int = 0

    def __str__(self) -> str:
        return f"{self.at_s:.1f} s {self.what} {self.whom}"


def mishaps(seed: int, scale: Scale, servers: int, *, database: bool) -> list[Mishap]:
    """One server is killed or frozen, the database is restarted as by a crash if it can be, one engine is killed."""
    dice = Random(seed)
    at_s, whom = dice.uniform(0.15, 0.4) * scale.spread_s, dice.randrange(servers)
    if servers > 1 and dice.random() < 0.5:
        found = [
            Mishap(at_s=at_s, what="freeze", whom=whom),
            Mishap(at_s=at_s + scale.frozen_s, what="thaw", whom=whom),
        ]
    else:
        found = [
            Mishap(at_s=at_s, what="kill", whom=whom),
            Mishap(at_s=at_s + scale.down_s, what="launch", whom=whom),
        ]
    if database:
        found.append(Mishap(at_s=dice.uniform(0.5, 0.9) * scale.spread_s, what="crash the database"))
    engine, at_s = dice.randrange(scale.engines), dice.uniform(0.1, 0.9) * scale.spread_s
    found += [
        Mishap(at_s=at_s, what="kill engine", whom=engine),
        Mishap(at_s=at_s + scale.down_s, what="restart engine", whom=engine),
    ]
    return sorted(found)


@define
class Arena:
    """The processes of one run. ``crash_database`` stops and starts what the servers keep their jobs in."""

    seed: int
    scale: Scale
    folder: Path
    database: str
    servers: list[Server]
    crew: Crew
    crash_database: Callable[[], None] | None
    _starts: Counter[int] = field(factory=Counter, init=False)
    _down: set[int] = field(factory=set, init=False)

    def run(self) -> None:
        """Everybody plays while mishaps happen; then everything must come to an end."""
        begun = time.monotonic()
        for number in range(self.scale.engines):
            self._start_engine(number)
        for number in range(self.scale.clients):
            jobs = self.scale.jobs // self.scale.clients
            self.crew.start(self._part("client", f"client{number}", jobs=jobs, spread_s=self.scale.spread_s))
        for each in mishaps(
            self.seed, self.scale, len(self.servers), database=self.crash_database is not None
        ):
            due = begun + each.at_s
            self._wait(partial(_past, due))
            self._befall(each)
        until = time.monotonic() + LATEST_S
        names = [f"client{number}" for number in range(self.scale.clients)]
        self._wait(lambda: not any(self.crew.runs(name) for name in names), until)
        self._wait(self._all_ended, until)
        for number in range(self.scale.engines):
            self.crew.ask_to_leave(f"engine{number}")
        self.crew.finish()
        for server in self.servers:
            server.wait_until_ready(until)
        self._look_at_all()

    def _part(self, role: str, name: str, *, start: int = 1, jobs: int = 0, spread_s: float = 0.0) -> Part:
        ports = tuple(server.port for server in self.servers)
        return Part(role=role, name=name, seed=self.seed, ports=ports, folder=str(self.folder), start=start,
                    lease_s=self.scale.lease_s, jobs=jobs, spread_s=spread_s)  # fmt: skip

    def _start_engine(self, number: int) -> None:
        self._starts[number] += 1
        self.crew.start(self._part("engine", f"engine{number}", start=self._starts[number]))

    def _befall(self, mishap: Mishap) -> None:
        match mishap.what:
            case "kill":
                self._down.add(mishap.whom)
                self.servers[mishap.whom].kill()
            case "launch":
                self.servers[mishap.whom].launch()
                self._down.remove(mishap.whom)
            case "freeze":
                self.servers[mishap.whom].freeze()
            case "thaw":
                self.servers[mishap.whom].thaw()
            case "kill engine":
                self.crew.kill(f"engine{mishap.whom}")
            case "restart engine":
                self._start_engine(mishap.whom)
            case _:
                assert self.crash_database is not None
                self.crash_database()

    def _wait(self, done: Callable[[], bool], until: float = float("inf")) -> None:
        while not done():
            self._supervise()
            if time.monotonic() > until:
                raise AssertionError(f"it did not end: {self._counts()}")
            time.sleep(0.05)

    def _supervise(self) -> None:
        """What watches over servers starts one again that could not start because the database was away just then."""
        for number, server in enumerate(self.servers):
            if server.ended and number not in self._down:
                assert "cannot reach" in server.words[-2_000:], server.words[-4_000:]
                server.launch()

    def _counts(self) -> dict[str, int]:
        """Jobs by state, from whichever server answers."""
        for server in self.servers:
            with suppress(OSError):
                url = f"http://127.0.0.1:{server.port}/status"
                with urllib.request.urlopen(url, timeout=2) as answer:
                    return dict(json.load(answer)["jobs"])
        return {}

    def _all_ended(self) -> bool:
        counts = self._counts()
        waiting = sum(counts.get(state, 0) for state in ("pending", "delayed", "assigned", "failed_retry"))
        return bool(counts) and waiting == 0

    def _look_at_all(self) -> None:
        """Everybody's jobs are read once more, so that the end is part of the history."""
        made = {each.job_id for each in read_logs(self.logs()) if each.act is Act.SUBMIT and each.job_id}
        with (self.folder / "judge.jsonl").open("w", encoding="utf-8") as file:
            caller = Caller(Logbook("judge", appending(file)), [server.port for server in self.servers], 20.0)
            for job_id in sorted(made):
                caller.ask(Act.LOOK, "GET", f"/jobs/{job_id}", job_id=job_id)
            caller.close()

    def logs(self) -> list[Path]:
        """What everybody wrote."""
        return sorted(self.folder.glob("*.jsonl"))


def _past(instant: float) -> bool:
    return time.monotonic() >= instant


@contextmanager
def arena(
    seed: int, scale: Scale, folder: Path, database: str, *, servers: int, crash: Callable[[], None] | None
) -> Iterator[Arena]:
    """Servers that are ready, and a crew."""
    settings = {
        "lease_ttl_s": scale.lease_s, "heartbeat_s": scale.lease_s / 5, "silent_after_s": scale.lease_s,
        "cancel_grace_s": scale.lease_s, "late_report_s": scale.lease_s, "poison_engines": 0, "quarantine_failures": 0,
        "requests_per_s": 0, "tick_s": 0.2, "poll_floor_s": 0.2,
    }  # fmt: skip
    running = [
        Server(database, port, **settings).logging_to(folder / f"server{number}.log")
        for number, port in enumerate(_free_ports(servers))
    ]
    with Crew(folder / "crew.err") as crew:
        try:
            until = time.monotonic() + 30
            for server in running:
                server.launch()
            for server in running:
                server.wait_until_ready(until)
            yield Arena(seed, scale, folder, database, running, crew, crash)
        finally:
            for server in running:
                if not server.ended:
                    server.thaw()
                    server.kill()


def _free_ports(count: int) -> list[int]:
    """Ports of sockets that are bound at the same time, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


@frozen(kw_only=True)
class Judgement:
    """What became of a run."""

    report: HistoryReport
    states: Counter[str]
    generations: int
    unknown: int
    acknowledged: int
    longest_s: float

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return (
            f"{self.acknowledged} jobs acknowledged in {self.generations} lives ({states}); {self.report.operations} "
            f"operations, {self.unknown} never answered, an answer took {self.longest_s:.1f} s at most with all tries; "
            f"{len(self.report.recovered)} jobs recovered; {self.report.verdict} after {self.report.steps} steps"
        )


def judge(database: str, logs: Sequence[Path]) -> Judgement:
    """From the store and the logs: raises if a law, an acknowledgement or a life does not hold."""
    verdict = verify_store(database)
    assert verdict.findings_total == 0, "\n".join(verdict.findings)
    storage = create_storage(database)
    try:
        check_store(storage)
        jobs, generations = _lives(storage)
    finally:
        storage.close()
    history = read_logs(logs)
    allowed = Allowance(attempts_max=int(JOB["retry"]["max_attempts"]))  # type: ignore[index]  # a mapping
    report = check_history(history, allowance=allowed, stored=[job.id for job in jobs])
    assert report.verdict is HistoryVerdict.TRUE, str(report)
    return Judgement(
        report=report,
        states=Counter(job.state.value for job in jobs),
        generations=generations,
        unknown=sum(not each.known for each in history),
        acknowledged=len({each.job_id for each in history if each.act is Act.SUBMIT and each.job_id}),
        longest_s=_longest_s(history),
    )


def _longest_s(history: Sequence[Operation]) -> float:
    """From the first try of a command to its first answer, for the one that took longest."""
    begun: dict[str, int] = {}
    took: dict[str, int] = {}
    for each in history:  # by when they began
        key = each.key or str(id(each))
        begun.setdefault(key, each.begun_us)
        if each.ended_us is not None:
            took.setdefault(key, each.ended_us - begun[key])
    return max(took.values(), default=0) / 1e6


def _lives(storage: Storage) -> tuple[list[Job], int]:
    """All jobs, and how many lives ended. Raises AssertionError unless each generation ended exactly once.

    One that was requeued while it backed off was called off by that; only it may have no end.
    """
    lives = 0
    with storage.read() as snapshot:
        jobs = all_jobs(snapshot)
        for job in jobs:
            ends = _ends(snapshot, job)
            assert all(count == 1 for count in ends.values()), f"{job.id}: ends by generation {ends}"
            assert job.generation in ends, f"{job.id} is {job.state}"
            lives += len(ends)
    return jobs, lives


def _ends(snapshot: Transaction, job: Job) -> dict[int, int]:
    """How often each generation of a job ended, from its history; those called off are left out."""
    ends: dict[int, int] = {}
    folded: Job | None = None
    for row in snapshot.history(of=(RecordType.JOB, job.id), limit=10_000):
        event = event_from_plain(row.event, row.data)
        assert isinstance(event, JobEvent)
        before, folded = folded, evolve(folded, event, row.at_us)
        called_off = isinstance(event, JobRequeued) and before is not None and not before.state.terminal
        if called_off:
            del ends[folded.generation - 1]
        ends.setdefault(folded.generation, 0)
        if folded.state.terminal and not (before is not None and before.state.terminal):
            ends[folded.generation] += 1
    return ends
