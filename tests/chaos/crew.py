"""A process that forks players: ``python -m tests.chaos.crew`` reads one part a line and tells the pid of each.

Imports are paid for once. When its input ends it waits for all players, and ends with 1 if one of them failed by itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Self

from dispatch_core.shell.wire import dumps, from_plain, to_plain
from tests.chaos.roles import Part, play

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Fork a player for every line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    players = []
    for line in sys.stdin:
        part = from_plain(Part, json.loads(line))
        pid = os.fork()
        if pid == 0:
            _child(part)
        players.append(pid)
        print(pid, flush=True)
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in players]
    return int(any(end not in (0, -signal.SIGKILL) for end in ends))


def _child(part: Part) -> None:
    try:
        os.close(0)
        play(part)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


class Crew:
    """The players of a run, seen from the test."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors
        with errors.open("wb") as file:
            command = [sys.executable, "-m", "tests.chaos.crew"]
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
            )
        self.pids: dict[str, int] = {}

    def start(self, part: Part) -> None:
        """Let somebody play a part."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(dumps(to_plain(part)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._errors.read_text()
        self.pids[part.name] = int(line)

    def kill(self, name: str) -> None:
        """SIGKILL to a player."""
        os.kill(self.pids[name], signal.SIGKILL)

    def ask_to_leave(self, name: str) -> None:
        """SIGTERM to a player."""
        os.kill(self.pids[name], signal.SIGTERM)

    def runs(self, name: str) -> bool:
        """Whether a player has not ended. It is a zombie until the crew ends, so its state is read."""
        stat = Path(f"/proc/{self.pids[name]}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"

    def finish(self, timeout_s: float = 60.0) -> None:
        """Wait for all; AssertionError with their words if one failed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(timeout_s) == 0, self._errors.read_text()[-4_000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self.pids if self._process.poll() is None else ():
            if self.runs(name):
                self.kill(name)
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


if __name__ == "__main__":
    raise SystemExit(main())
