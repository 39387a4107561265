"""The processes of the demo: one server and three engines, each as a user would start it, all gone at the end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from dispatch_cli.demo.plan import Cast
from dispatch_cli.engine.process import tied_to_parent
from dispatch_cli.exits import CommandFailure, ExitCode

LEASE_TTL_S: Final = 3.0
START_S_MAX: Final = 30.0
STOP_S: Final = 6.0
LINE_BYTES_MAX: Final = 65_536
_PROGRAM: Final = (sys.executable, "-c", "from dispatch_cli.main import main; main()")
_TEMPO: Final[Mapping[str, str]] = {
    "DISPATCH_LEASE_TTL_S": f"{LEASE_TTL_S:g}",
    "DISPATCH_HEARTBEAT_S": "0.5",
    "DISPATCH_SILENT_AFTER_S": "1.5",
    "DISPATCH_TICK_S": "0.2",
}
"""Leases of 3 s instead of 30, so that nobody has to wait half a minute for a rescue."""


class Stage:
    """A folder with a server, its database, and engines. Leaving the block ends every process."""

    def __init__(self, folder: Path, ffmpeg: Path) -> None:
        self.folder = folder
        self._ffmpeg = ffmpeg
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(at_once=kind is not None)

    def start_server(self) -> str:
        """Start the server on a free port; its address. Raises CommandFailure if it does not come up."""
        command = ["serve", "--port", "0", "--database", str(self.folder / "dispatch.db"), "--json"]
        server = self._start("server", command, stdout=subprocess.PIPE)
        assert server.stdout is not None
        line = _first_line(server.stdout, START_S_MAX)
        server.stdout.close()
        try:
            return str(json.loads(line)["url"])
        except (ValueError, KeyError):
            raise self._failure("the server did not start", "server") from None

    def start_engine(self, cast: Cast, url: str) -> None:
        """Start one engine."""
        limits = [word for codec in cast.codecs for word in ("--codec", codec)]
        work_dir = str(self.folder / f"work-{cast.id}")
        common = ["--no-benchmark", "--ffmpeg", str(self._ffmpeg), "--work-dir", work_dir]
        self._start(
            cast.id, ["engine", "run", "--url", url, "--id", cast.id, *limits, *cast.options, *common]
        )

    def kill(self, name: str) -> None:
        """SIGKILL: no farewell, no clean-up; as if the machine had lost its power."""
        self._processes[name].kill()
        self._processes[name].wait()

    def check(self, names: Iterable[str]) -> None:
        """Raise CommandFailure if one of these has ended by itself."""
        for name in names:
            if self._processes[name].poll() is not None:
                raise self._failure(f"{name} has ended", name)

    def close(self, *, at_once: bool = False) -> None:
        """End everything: engines first, so that they can say good-bye, then the server."""
        engines = [name for name in self._processes if name != "server"]
        for each in (engines, ["server"]):
            self._stop([self._processes[name] for name in each if name in self._processes], at_once)
        for log in self._logs:
            log.close()

    def log(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.folder / f"{name}.log"

    def _stop(self, processes: Sequence[subprocess.Popen[bytes]], at_once: bool) -> None:
        deadline = time.monotonic() + STOP_S
        for _ in range(2 if at_once else 1):  # to engines a second signal means: now
            for process in processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            time.sleep(0.05 if at_once else 0)
        for process in processes:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, command: Sequence[str], stdout: int | None = None) -> subprocess.Popen[bytes]:
        log = self.log(name).open("ab")
        self._logs.append(log)
        # A session of their own: Ctrl-C reaches the demo alone, which then ends them in order.
        self._processes[name] = subprocess.Popen(
            tied_to_parent([*_PROGRAM, *command]),
            stdin=subprocess.DEVNULL,
            stdout=stdout or log,
            stderr=log,
            env=self._environment(),
            start_new_session=True,
        )
        return self._processes[name]

    def _environment(self) -> dict[str, str]:
        """That of the user, without settings of other servers."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCH_")}
        return {**kept, **_TEMPO, "XDG_CONFIG_HOME": str(self.folder / "config")}

    def _failure(self, what: str, name: str) -> CommandFailure:
        try:
            said = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        except OSError:
            said = []
        message = f"{what}: {' | '.join(said) or 'it said nothing'}"
        return CommandFailure("demo-failed", message, exit_code=ExitCode.UNAVAILABLE)


def _first_line(stream: IO[bytes], within_s: float) -> str:
    """The first line of a process, or what there is of it in time."""
    deadline = time.monotonic() + within_s
    data = b""
    while b"\n" not in data and len(data) < LINE_BYTES_MAX and time.monotonic() < deadline:
        ready, _, _ = select.select([stream], [], [], 0.2)
        if ready:
            chunk = os.read(stream.fileno(), 4_096)
            if not chunk:
                break
            data += chunk
    return data.partition(b"\n")[0].decode("utf-8", "replace")
