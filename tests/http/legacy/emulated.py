"""The older fleet, emulated to the letter: its engines and its client, with all their habits and mishaps.

A new connection for each call, no back-off, one report sent once, "idle" while at work, nothing resumed after
a crash. Times are the real ones multiplied by ``Pace.scale``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from attrs import define, field, frozen

POLL_S, HEARTBEAT_S, BENCHMARK_S, TIMEOUT_S = 1.0, 5.0, 0.3, 30.0
POISON, HOPELESS = "http://media.example/poison.mov", "http://media.example/broken.mov"
HEAD = (
    "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n"
    "Accept-Encoding: deflate, gzip, br, zstd\r\nContent-Type: application/json\r\n"
    "X-API-Key: your-super-secret-api-key\r\nContent-Length: {length}\r\n\r\n"
)


@frozen(kw_only=True)
class Pace:
    """How fast the fleet lives, how long jobs take, and how often things go wrong."""

    scale: float = 1.0
    work_s: tuple[float, float] = (0.5, 3.0)
    crash_after_s: float = 20.0
    away_s: tuple[float, float] = (0.5, 10.0)
    freeze_share: float = 0.2
    report_lost_share: float = 0.03


@define
class Witness:
    """What the fleet and its client have seen."""

    submitted: list[str] = field(factory=list)
    completed: set[str] = field(factory=set)
    seen: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)


@frozen
class Wire:
    """Calls to the server, each over a connection of its own."""

    port: int
    pace: Pace
    witness: Witness

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Status and body of the answer. Raises OSError if there is none in time."""
        text = b"" if body is None else json.dumps(body).encode()
        head = HEAD.format(method=method, path=path, port=self.port, length=len(text))
        self.witness.seen["calls"] += 1
        try:
            async with (
                asyncio.timeout(TIMEOUT_S * max(self.pace.scale, 0.2)),
                self._connected() as (reads, writes),
            ):
                writes.write(head.encode() + text)
                await writes.drain()
                return await _answer(reads)
        except (EOFError, asyncio.IncompleteReadError) as error:
            raise ConnectionResetError("the answer broke off") from error

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reads, writes = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        try:
            yield reads, writes
        finally:
            writes.transport.abort()

    async def abandon(self, method: str, path: str, body: object) -> None:
        """A call whose sender is gone before the answer: nobody will ever know whether it was heard."""
        text = json.dumps(body).encode()
        head = HEAD.format(method=method, path=path, port=self.port, length=len(text))
        async with self._connected() as (_, writes):
            writes.write(head.encode() + text)
            await writes.drain()


async def _answer(reads: asyncio.StreamReader) -> tuple[int, bytes]:
    lines = (await reads.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0].split(" ")[1])
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reads.readline(), 16):
            body += (await reads.readexactly(size + 2))[:-2]
        return status, body
    return status, await reads.readexactly(int(headers.get("content-length", "0")))


class Engine:
    """One machine of the older fleet: its process lives, crashes, freezes and is started again."""

    def __init__(self, number: int, wire: Wire) -> None:
        self._name = f"box-{number}"
        self._wire, self._pace, self._witness = wire, wire.pace, wire.witness
        self._dice = random.Random(number)
        self._queue: list[
            str
        ] = []  # its small file: what was in work; never resumed, never emptied by a crash
        self._awake = asyncio.Event()
        self._doomed = asyncio.Event()

    async def run(self) -> None:
        """Processes one after another, for ever."""
        while True:
            self._awake.set()
            self._doomed.clear()
            process = asyncio.create_task(self._process())
            doom = asyncio.create_task(self._doomed.wait())
            try:
                until = self._dice.expovariate(1 / self._pace.crash_after_s) * self._pace.scale
                await asyncio.wait({process, doom}, timeout=until, return_when=asyncio.FIRST_COMPLETED)
                if not process.done() and not doom.done() and self._dice.random() < self._pace.freeze_share:
                    await self._freeze()
            finally:
                await _ended(process, doom)
            self._witness.seen["process ends"] += 1
            await self._sleep(self._dice.uniform(*self._pace.away_s))

    async def _freeze(self) -> None:
        """The whole process stands still for longer than its lease, then goes on as if nothing had been."""
        self._witness.seen["freezes"] += 1
        self._awake.clear()
        await self._sleep(40)
        self._awake.set()
        await self._sleep(10)

    async def _process(self) -> None:
        try:
            status, _ = await self._wire.call("POST", "/engines/heartbeat", self._hello())
        except OSError:
            status = 0
        if status // 100 != 2:
            self._witness.seen["starts refused"] += 1
            return
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._heartbeats())
            loops.create_task(self._benchmark())
            loops.create_task(self._work())

    async def _heartbeats(self) -> None:
        while True:
            await self._sleep(HEARTBEAT_S + self._dice.uniform(-0.3, 0.3))
            with contextlib.suppress(OSError):
                await self._wire.call("POST", "/engines/heartbeat", self._sign_of_life())

    async def _benchmark(self) -> None:
        await self._sleep(BENCHMARK_S)
        with contextlib.suppress(OSError):
            body = {"engine_id": self._name, "benchmark_time": self._dice.uniform(0.1, 0.4)}
            await self._wire.call("POST", "/engines/benchmark_result", body)

    async def _work(self) -> None:
        while True:
            await self._sleep(POLL_S)
            job = await self._assigned()
            if job is not None:
                self._queue.append(job["job_id"])
                await self._transcode(job)
                self._queue.remove(job["job_id"])

    async def _assigned(self) -> dict[str, Any] | None:
        try:
            status, text = await self._wire.call("POST", "/assign_job/", {"engine_id": self._name})
        except OSError:
            return None
        if status // 100 != 2 or not text:
            return None
        return self._parsed(text)

    def _parsed(self, text: bytes) -> dict[str, Any] | None:
        """As its JSON library does: three texts, and a size that is a number if it is there."""
        job = json.loads(text)
        texts = all(
            isinstance(job.get(name), str) and job[name] for name in ("job_id", "source_url", "target_codec")
        )
        if not texts or not isinstance(job.get("job_size", 0), int | float) or "/" in job["job_id"]:
            self._witness.wrong.append(f"an engine cannot read {text!r}")
            return None
        self._witness.seen["assignments"] += 1
        return dict(job)

    async def _transcode(self, job: dict[str, Any]) -> None:
        await self._sleep(self._dice.uniform(*self._pace.work_s))
        if job["source_url"] == POISON:
            self._doomed.set()
            await asyncio.Event().wait()
        failed = job["source_url"] == HOPELESS
        body = (
            {"error_message": "ffmpeg exited with 1"} if failed else {"output_url": _uploaded(job["job_id"])}
        )
        path = f"/jobs/{job['job_id']}/{'fail' if failed else 'complete'}"
        luck = self._dice.random() / self._pace.report_lost_share
        if luck < 1:
            self._witness.seen["reports lost on the way"] += 1
        elif luck < 2:
            self._witness.seen["reports answered to nobody"] += 1
            with contextlib.suppress(OSError):
                await self._wire.abandon("POST", path, body)
        else:
            await self._report(job["job_id"], path, body)

    async def _report(self, job_id: str, path: str, body: dict[str, str]) -> None:
        """Once. If it fails, a line in a log, and the job is forgotten."""
        try:
            status, text = await self._wire.call("POST", path, body)
        except OSError:
            self._witness.seen["reports unanswered"] += 1
            return
        if status // 100 != 2:
            self._witness.wrong.append(f"a report was refused: {status} {text!r}")
        elif json.loads(text)["status"] == "completed":
            self._witness.completed.add(job_id)

    def _hello(self) -> dict[str, Any]:
        codecs = ["h264", "h265", "vp8", "vp9"]
        return {**self._both(), "supported_codecs": codecs}

    def _sign_of_life(self) -> dict[str, Any]:
        temperature = {"cpu_temperature": -1.0, "encoders": "", "decoders": "", "hwaccels": "vdpau,cuda"}
        return {**self._both(), **temperature}

    def _both(self) -> dict[str, Any]:
        return {
            "engine_id": self._name,
            "engine_type": "transcoder",
            "hostname": self._name,
            "local_job_queue": self._queue,
            "status": "idle",
            "storage_capacity_gb": 500.0,
            "streaming_support": True,
        }

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._pace.scale)
        await self._awake.wait()


def _uploaded(job_id: str) -> str:
    return f"http://example.com/transcoded/{job_id}.mp4"


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Killed: whatever they were doing stays undone."""
    for task in tasks:
        task.cancel()
    for failure in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(failure, Exception) and not isinstance(failure, asyncio.CancelledError):
            raise failure


@frozen
class Client:
    """The older client: a person who presses its buttons."""

    wire: Wire

    async def submit(self, number: int, sources: dict[int, str]) -> bool:
        """Whether the job was acknowledged; the person does not press the button again otherwise."""
        source = sources.get(number, f"http://media.example/{number}.mov")
        body = {
            "source_url": source,
            "target_codec": "libx264",
            "job_size": 25.5,
            "max_retries": {POISON: 1, HOPELESS: 0}.get(source, 10),
        }
        try:
            status, text = await self.wire.call("POST", "/jobs/", body)
        except OSError:
            return False
        if status != 200:
            self.wire.witness.wrong.append(f"the client shows {status} {text!r}")
            return False
        self.wire.witness.submitted.append(json.loads(text)["job_id"])
        return True

    async def states(self) -> Counter[str] | None:
        """How many jobs are in which state, by all of its listing buttons; None if the server is away."""
        try:
            status, text = await self.wire.call("GET", "/jobs/")
            await self.wire.call("GET", "/engines/")
        except OSError:
            return None
        if status != 200:
            self.wire.witness.wrong.append(f"the client shows {status} {text!r}")
            return None
        return Counter(job["status"] for job in json.loads(text))
