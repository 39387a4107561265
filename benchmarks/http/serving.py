"""The servers that are measured, each a process of its own on a free port, and what CPU they used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks.http.cpu import cpu_s


@frozen
class Served:
    """A server that listens."""

    process: subprocess.Popen[str]
    port: int

    def cpu_s(self) -> float:
        """CPU seconds of the process and of those it started (Linux)."""
        return cpu_s(self.process.pid)

    def load(self, name: str, **options: object) -> dict[str, float]:
        """What a load, in a process of its own, measured of this server."""
        command = [sys.executable, "-m", "benchmarks.http.loads", name, str(self.port), json.dumps(options)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        found: dict[str, float] = json.loads(done.stdout)
        return found


@contextmanager
def dispatch(
    folder: Path, server: str, *, database: str | None = None, **settings: object
) -> Iterator[Served]:
    """`dispatch serve` on a new SQLite file or the ``database`` named, its log thrown away."""
    config = folder / f"{server}-{os.urandom(4).hex()}"
    lines = [f'database = "{database or f"{config}.db"}"', f'server = "{server}"', "port = 0"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    config.with_suffix(".toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    program = str(Path(sys.executable).parent / "dispatch")
    with _running([program, "serve", "--json", "--config", str(config.with_suffix(".toml"))]) as served:
        yield served


@contextmanager
def nothing(server: str, threads: int) -> Iterator[Served]:
    """A Falcon application that answers and does nothing else."""
    with _running([sys.executable, "-m", "benchmarks.http.noop", server, str(threads)]) as served:
        yield served


@contextmanager
def _running(command: list[str]) -> Iterator[Served]:
    quiet: Mapping[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, **quiet) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        try:
            yield Served(process, int(json.loads(told)["url"].rpartition(":")[2]))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
