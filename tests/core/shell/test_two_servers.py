"""Two servers on one store: what one of them remembers may be behind; what it grants never is."""

from __future__ import annotations

import pytest

from dispatch_core import Context, Edit, ManualClock
from dispatch_core.ports.storage import Change
from dispatch_core.shell.stepped import SteppedCommitter
from dispatch_core.storage import MemoryStorage
from dispatch_core.vocabulary.attempts import LeaseStatus
from dispatch_core.vocabulary.commands import Claim, Renew
from dispatch_core.vocabulary.records import RecordType
from tests.core.conftest import MakeDispatcher
from tests.core.house import claim, spec, start


def test_a_report_does_not_hide_that_a_job_was_granted_elsewhere(
    clock: ManualClock, make_dispatcher: MakeDispatcher
) -> None:
    """A server whose memory still offers a job, and that reads it anew for a report, must not grant it in the same batch."""
    storage = MemoryStorage(clock)
    here = make_dispatcher(storage, committer=lambda house: SteppedCommitter(house, lambda: 0.0))
    there = make_dispatcher(storage)
    for number in range(3):
        start(here, f"e{number}")
    here.submit_many([spec(), spec()])
    claim(here, "e0")  # from now on this server has the other job in memory, as the next
    lease = claim(there, "e1")
    renew = Renew(job_id=lease.job.id, token=lease.token, engine_id="e1")
    committer = here._committer
    assert isinstance(committer, SteppedCommitter)
    pairs = [(each, Context(actor="test")) for each in (renew, Claim(engine_id="e2", session="s1"))]
    renewed, claimed = committer.hand(pairs)
    assert isinstance(renewed.answer(), LeaseStatus)
    assert claimed not in committer.answered(), "it waits: there is nothing to grant"
    assert [each.engine_id for each in there.attempts(lease.job.id)] == ["e1"]


@pytest.mark.parametrize("order", [(1, 1), (1, 9), (9, 1)])
def test_a_job_that_memory_holds_twice_is_granted_once(
    clock: ManualClock, make_dispatcher: MakeDispatcher, order: tuple[int, int]
) -> None:
    """Another server moved it to another bucket, and this one heard of the new place only."""
    storage = MemoryStorage(clock)
    here, there = make_dispatcher(storage), make_dispatcher(storage)
    start(here, "e0", slots=9)
    first, job = here.submit_many([spec(priority=9), spec(priority=order[0])])
    assert claim(here, "e0").job.id == first.id  # it has the other in memory now
    there.update(job.id, Edit(requirements=("ffmpeg >= 6",)))
    moved = there.update(job.id, Edit(priority=order[1], note="moved"))
    here._house.heads.remember([Change((RecordType.JOB, job.id), None, moved)])
    assert [lease.job.version for lease in here.claim("e0", session="s1", limit=5)] == [moved.version + 1]
