"""Logs of histories: one line of JSON per entry, so that processes write files of their own and any may be killed.

Instants are read from the monotonic clock of the machine, which all its processes share: logs of one machine merge.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from attrs import define, field

from dispatch_core.shell.wire import dumps, from_plain, to_plain
from dispatch_core.testing.histories.operations import Act, Ending, Entry, Granted, Kind, Operation

Sink = Callable[[Entry], None]
_ENDINGS = {Kind.OK: Ending.DONE, Kind.FAIL: Ending.REFUSED, Kind.UNKNOWN: Ending.UNKNOWN}
_ASKED = ("process", "job_id", "token", "engine_id", "key", "value", "retryable", "limit")


def monotonic_us() -> int:
    """Microseconds of the machine's monotonic clock."""
    return time.monotonic_ns() // 1_000


@define
class Logbook:
    """Where one process (or thread) writes what it asks and hears; ``sink`` takes each entry at once."""

    process: str
    sink: Sink
    now_us: Callable[[], int] = monotonic_us
    _count: int = field(default=0, init=False)

    def invoke(  # one per thing that may be asked
        self,
        act: Act,
        *,
        job_id: str | None = None,
        token: str | None = None,
        engine_id: str | None = None,
        key: str | None = None,
        value: str | None = None,
        retryable: bool = True,
        limit: int = 1,
    ) -> int:
        """An operation begins; its number, with which its end is told. Call it before anything is sent."""
        self._count += 1
        self.sink(
            Entry(
                process=self.process, n=self._count, kind=Kind.INVOKE, at_us=self.now_us(), act=act, job_id=job_id,
                token=token, engine_id=engine_id, key=key, value=value, retryable=retryable, limit=limit,
            )
        )  # fmt: skip
        return self._count

    def ok(
        self,
        n: int,
        answer: Mapping[str, object] | None = None,
        *,
        job_id: str | None = None,
        granted: Sequence[Granted] = (),
    ) -> None:
        """It was done; ``job_id`` is that of a job submitted, ``granted`` what a claim was given."""
        self._ended(n, Kind.OK, answer=answer or {}, job_id=job_id, granted=tuple(granted))

    def fail(self, n: int, code: str) -> None:
        """It was refused, with the code of the error, and changed nothing."""
        self._ended(n, Kind.FAIL, code=code)

    def unknown(self, n: int) -> None:
        """Nobody knows: no answer, or one that says so (any 5xx). Leaving the end out means the same."""
        self._ended(n, Kind.UNKNOWN)

    def _ended(  # as above
        self,
        n: int,
        kind: Kind,
        *,
        answer: Mapping[str, object] | None = None,
        job_id: str | None = None,
        granted: tuple[Granted, ...] = (),
        code: str | None = None,
    ) -> None:
        self.sink(
            Entry(
                process=self.process, n=n, kind=kind, at_us=self.now_us(), job_id=job_id, granted=granted,
                answer=answer or {}, code=code,
            )
        )  # fmt: skip


def appending(file: TextIO) -> Sink:
    """A sink that writes each entry as a line and flushes it: what was asked is told even if the process is killed."""

    def write(entry: Entry) -> None:
        file.write(dumps(to_plain(entry)) + "\n")
        file.flush()

    return write


def read_logs(paths: Iterable[Path]) -> list[Operation]:
    """The operations in the logs of any number of processes, by when they began. Raises ValueError if unreadable.

    A last line without an end is what a killed process leaves, and is passed over.
    """
    return operations_of(entry for path in paths for entry in _entries(path))


def _entries(path: Path) -> Iterable[Entry]:
    *lines, _torn = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        try:
            yield from_plain(Entry, json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}:{number}: not an entry of a history ({error})") from error


def operations_of(entries: Iterable[Entry]) -> list[Operation]:
    """The operations that entries tell of, by when they began; one without an end is unknown."""
    begun: dict[tuple[str, int], Entry] = {}
    ended: dict[tuple[str, int], Entry] = {}
    for entry in entries:
        place, known = (entry.process, entry.n), begun if entry.kind is Kind.INVOKE else ended
        if place in known:
            raise ValueError(
                f"{entry.process} tells twice of its operation {entry.n}: give each process a name"
            )
        known[place] = entry
    if strays := ended.keys() - begun.keys():
        raise ValueError(f"operations that end without having begun: {sorted(strays)[:3]}")
    found = [_operation(entry, ended.get(place)) for place, entry in begun.items()]
    return sorted(found, key=lambda each: (each.begun_us, each.process))


def _operation(asked: Entry, heard: Entry | None) -> Operation:
    if asked.act is None:
        raise ValueError(f"{asked.process}: operation {asked.n} does not say what it asks")
    ending = Ending.UNKNOWN if heard is None else _ENDINGS[heard.kind]
    told = {name: getattr(asked, name) for name in _ASKED}
    if heard is not None and ending is not Ending.UNKNOWN:
        told |= {
            "ended_us": heard.at_us,
            "granted": heard.granted,
            "answer": heard.answer,
            "code": heard.code,
        }
        told["job_id"] = heard.job_id or asked.job_id
    return Operation(act=asked.act, ending=ending, begun_us=asked.at_us, **told)
