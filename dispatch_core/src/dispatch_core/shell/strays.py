"""After the clock jumped: what the old clock stamped is looked at again, a bounded part in each pass."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.lifecycle import CLOCK_JUMPED
from dispatch_core.ports.storage import Transaction
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.commands import Command, EndAttempt, FireTimer
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.records import RecordType, Ref

FAR_US = 2**62


class Strays:
    """Open attempts and timers ahead. A start counts as a jump back: it may have happened while nobody ran."""

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._cause: str | None = None
        self._reached: dict[RecordType, int | None] = {}
        self.look(jumped=False)

    def look(self, *, jumped: bool) -> None:
        """Go through them all, from the beginning. After a jump seen, every open attempt counts from now."""
        self._cause = CLOCK_JUMPED if jumped else None
        self._reached = {RecordType.ATTEMPT: None, RecordType.JOB: None}

    @property
    def left(self) -> bool:
        """Whether there is more to look at."""
        return bool(self._reached)

    def next(self, snapshot: Transaction) -> tuple[list[Command], dict[RecordType, int | None]]:
        """The commands of the next part, and how far that gets; ``done`` says that they were carried out."""
        commands: list[Command] = []
        reached: dict[RecordType, int | None] = {}
        for kind, after in self._reached.items():
            start = self._start(kind, after, snapshot.now())
            refs = snapshot.due(kind, FAR_US, self._rows_max, after_us=start)
            commands += [self._command(ref) for ref in refs]
            if len(refs) == self._rows_max:
                reached[kind] = _following(snapshot, refs)
        return commands, reached

    def done(self, reached: dict[RecordType, int | None]) -> None:
        """What ``next`` gave has been carried out."""
        self._reached = reached

    def _start(self, kind: RecordType, after: int | None, now: int) -> int:
        if after is not None:
            return after
        return -1 if kind is RecordType.ATTEMPT and self._cause else now

    def _command(self, ref: Ref) -> Command:
        if ref[0] is RecordType.JOB:
            return FireTimer(job_id=ref[1])
        job_id, _, number = ref[1].rpartition("/")
        return EndAttempt(job_id=job_id, number=int(number), cause=self._cause)


def _following(snapshot: Transaction, refs: Sequence[Ref]) -> int | None:
    """Where the next part starts: at the last instant once more (it may go on), unless all were of it."""
    found = snapshot.load([refs[0], refs[-1]])
    first, last = (_due(found.get(ref)) for ref in (refs[0], refs[-1]))
    return last if last is None or last == first else last - 1


def _due(record: object) -> int | None:
    return record.due_us if isinstance(record, (Job, Attempt)) else None
