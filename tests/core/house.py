"""Short words for tests of the core: specs, engines, work, and the brute-force judge of a choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dispatch_core import Dispatcher, Job, JobSpec, Lease, Profile
from dispatch_core.ports.storage import Storage
from dispatch_core.testing.checkers import all_jobs

PARAMETERS = {"source": "in.mp4", "target": "out.mp4"}
FACTS: dict[str, Any] = {"codec": ("h264", "hevc"), "ffmpeg": "7.0", "streaming": True}


def spec(**fields: Any) -> JobSpec:
    """A small transcode."""
    return JobSpec(**{"parameters": PARAMETERS, **fields})


def start(dispatcher: Dispatcher, engine_id: str = "e1", *, session: str = "s1", **profile: Any) -> str:
    """An engine registers; returns its id."""
    dispatcher.register(engine_id, Profile(**{"facts": FACTS, "slots": 4, **profile}), session=session)
    return engine_id


def claim(dispatcher: Dispatcher, engine_id: str = "e1", *, session: str = "s1", limit: int = 1) -> Lease:
    """The first lease of a claim that must not be empty."""
    leases = dispatcher.claim(engine_id, session=session, limit=limit)
    assert leases, "nothing was granted"
    return leases[0]


def claimed(
    dispatcher: Dispatcher, engine_id: str = "e1", *, limit: int = 1, session: str = "s1"
) -> list[str]:
    """The ids of what a claim is granted."""
    return [lease.job.id for lease in dispatcher.claim(engine_id, session=session, limit=limit)]


def stored(storage: Storage) -> list[Job]:
    """Every job of every tenant."""
    with storage.read() as snapshot:
        return all_jobs(snapshot)


def names(rows: Sequence[Any]) -> list[str]:
    """The events of history rows."""
    return [row.event for row in rows]
