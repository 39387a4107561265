"""A scripted life of a small fleet; prints a digest of everything that was decided. Run by test_embedding."""

from __future__ import annotations

import hashlib
import sys

from dispatch_core import (
    Dispatcher,
    Edit,
    JobError,
    JobSize,
    JobSpec,
    Lease,
    LeaseLostError,
    ManualClock,
    Profile,
    Progress,
    SeededIds,
)
from dispatch_core.storage import MemoryStorage
from dispatch_core.vocabulary.facts import FactValue

CODECS = ("h264", "hevc", "av1", "vp9")


def play(dispatcher: Dispatcher, clock: ManualClock) -> list[str]:
    """Everything that was answered, in words."""
    said: list[str] = []
    leases: list[Lease] = []
    for number in range(4):
        codecs = CODECS[number:] + CODECS[:2]
        facts: dict[str, FactValue] = {
            "codec": tuple(sorted(set(codecs))),
            "ffmpeg": f"{6 + number}.1",
            "tag": ("fast",),
        }
        dispatcher.register(f"e{number}", Profile(slots=3, facts=facts), session="s")
    for turn in range(60):
        needs = (("ffmpeg >= 7",), ("prefer tag has fast", "ffmpeg < 9"), ())[turn % 3]
        parameters = {"source": "a", "target": "b", "codec": CODECS[turn % 4]}
        size = JobSize(duration_us=turn * 7_000_000)
        job = dispatcher.submit(
            JobSpec(parameters=parameters, requirements=needs, priority=turn % 5 - 2, size=size)
        )
        if turn % 7 == 0:
            dispatcher.update(job.id, Edit(priority=8))
        if turn % 11 == 0:
            dispatcher.hold(job.id)
        leases += dispatcher.claim(f"e{turn % 4}", session="s", limit=2)
        if len(leases) > 3:
            lease = leases.pop(turn % 3)
            said.append(report(dispatcher, lease, turn))
        clock.advance(3)
        said.append(repr(dispatcher.tick()))
        said.append(repr(dispatcher.explain(job.id)))
        said.append(repr(dispatcher.preview(f"e{turn % 4}")))
    said.append(repr(dispatcher.stats()))
    return said + [repr(row) for row in dispatcher.events(limit=10_000)]


def report(dispatcher: Dispatcher, lease: Lease, turn: int) -> str:
    """What an engine says of its work, and hears."""
    try:
        match turn % 4:
            case 0:
                return repr(dispatcher.complete(lease, {"turn": turn}))
            case 1:
                return repr(dispatcher.fail(lease, JobError(failure_class="engine", message="no")))
            case 2:
                return repr(dispatcher.give_back(lease))
            case _:
                return repr(dispatcher.progress(lease, Progress(fraction=0.5)))
    except LeaseLostError as lost:
        return str(lost)


def main() -> None:
    """Print the digest."""
    clock = ManualClock()
    storage = MemoryStorage(clock, incarnation="x")
    dispatcher = Dispatcher(storage, ids=SeededIds(5), group_commit="grouped" in sys.argv)
    said = play(dispatcher, clock)
    dispatcher.close()
    print(hashlib.sha256("\n".join(said).encode()).hexdigest(), len(said))


if __name__ == "__main__":
    main()
