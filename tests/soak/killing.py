"""A real server under load that is killed with SIGKILL and started again, and a record of what it acknowledged."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from attrs import define, field

ENGINES = 4


@define
class Acknowledged:
    """What clients were told. A command is here if, and only if, its 2xx answer arrived."""

    submitted: set[str] = field(factory=set)
    granted: dict[tuple[str, str], str] = field(factory=dict)
    completed: set[str] = field(factory=set)
    doubled: list[str] = field(factory=list)
    repeated: int = 0
    _lock: threading.Lock = field(factory=threading.Lock)

    def submit(self, job_id: str) -> None:
        """A submit was acknowledged."""
        with self._lock:
            self.submitted.add(job_id)

    def grant(self, job_id: str, token: str, engine_id: str) -> None:
        """A lease was acknowledged; leases here never expire, so a second one for a job is a double."""
        with self._lock:
            if any(known == job_id and other != token for known, other in self.granted):
                self.doubled.append(job_id)
            self.granted[job_id, token] = engine_id

    def complete(self, job_id: str) -> None:
        """A completion was acknowledged."""
        with self._lock:
            self.completed.add(job_id)

    @property
    def commands(self) -> int:
        """How many commands were acknowledged."""
        return len(self.submitted) + len(self.granted) + len(self.completed)


class Server:
    """`dispatch serve` on a store and a port of its own."""

    def __init__(self, database: Path | str, port: int, **settings: float) -> None:
        self.port = port
        self._command = [
            str(Path(sys.executable).with_name("dispatch")), "serve", "--database", str(database), "--port", str(port),
        ]  # fmt: skip
        self._log = Path(database).with_suffix(".log")
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("DISPATCH_")
        } | {"DISPATCH_LEASE_TTL_S": "600", "DISPATCH_LOG_FORMAT": "json"}
        self._environment |= {f"DISPATCH_{name.upper()}": str(value) for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def logging_to(self, log: Path) -> Self:
        """The same server with its log elsewhere than beside its file."""
        self._log = log
        return self

    def launch(self) -> None:
        """Start, and do not wait."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def start(self) -> float:
        """Start, and wait until it is ready; how long that took in seconds."""
        started = time.monotonic()
        self.launch()
        self.wait_until_ready(started + 30)
        return time.monotonic() - started

    def wait_until_ready(self, until: float) -> None:
        """Raises AssertionError if it is not by then, or has ended."""
        while not self._ready():
            if time.monotonic() > until or self.ended:
                raise AssertionError(f"the server did not start:\n{self._log.read_text()[-2_000:]}")
            time.sleep(0.01)

    @property
    def words(self) -> str:
        """All it has said."""
        return self._log.read_text()

    @property
    def ended(self) -> bool:
        """Whether its process is gone."""
        return self._process is None or self._process.poll() is not None

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it stands still, and its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on where it stood, as if no time had passed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)


class Client(threading.Thread):
    """Submits, claims, reports and completes; an unanswered command is repeated with its key until answered."""

    def __init__(self, number: int, port: int, told: Acknowledged, stop: threading.Event) -> None:
        super().__init__(name=f"client-{number}")
        self._engine = f"engine-{number % ENGINES}"
        self._port = port
        self._told = told
        self._stop_asked = stop
        self._random = random.Random(number)
        self._count = 0
        self._connection: http.client.HTTPConnection | None = None
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Work until asked to stop; what was begun is finished."""
        try:
            self._ask("PUT", f"/engines/{self._engine}", {"session": "soak", "profile": PROFILE})
            while not self._stop_asked.is_set():
                self._lifecycle()
        except BaseException as failure:  # shown by the test, whatever it is
            self.failure = failure
        finally:
            if self._connection is not None:
                self._connection.close()

    def _lifecycle(self) -> None:
        parameters = {"source": "in.mp4", "target": "out.mp4", "codec": "h264"}
        job = self._ask("POST", "/jobs", {"parameters": parameters, "priority": self._random.randint(-2, 2)})
        self._told.submit(job["id"])
        lease = self._ask("POST", f"/queue/next_job?engine_id={self._engine}&session=soak")
        if lease is None:
            return
        self._told.grant(lease["job_id"], lease["token"], self._engine)
        report = {"token": lease["token"], "engine_id": self._engine}
        if self._random.random() < 0.3:
            self._ask("PUT", f"/jobs/{lease['job_id']}/progress", {**report, "fraction": 0.5})
        self._ask("PUT", f"/jobs/{lease['job_id']}/status", {**report, "status": "completed", "result": {}})
        self._told.complete(lease["job_id"])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        self._count += 1
        headers = {"Idempotency-Key": f"{self.name}-{self._count}", "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            answer = self._try(method, path, text, headers)
            if answer is not None:
                return answer[0]
            self._told.repeated += 1
            time.sleep(0.02)
        raise AssertionError(f"{method} {path} was never answered")

    def _try(self, method: str, path: str, text: str | None, headers: dict[str, str]) -> list[Any] | None:
        """The answer in a list, or None if it is unknown whether the command took effect."""
        try:
            self._connection = self._connection or http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=10
            )
            self._connection.request(method, path, text, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return None
        if response.status in (429, 503):
            return None
        assert response.status < 300, f"{method} {path}: {response.status} {content[:300]!r}"
        return [json.loads(content) if content else None]


PROFILE = {"slots": 1_000, "facts": {"codec": ["h264"], "ffmpeg": "7.0"}}
