"""Two servers on one store: what one of them remembers may be behind; what it grants never is."""

from __future__ import annotations

from dispatch_core import Context, ManualClock
from dispatch_core.shell.stepped import SteppedCommitter
from dispatch_core.storage import MemoryStorage
from dispatch_core.vocabulary.attempts import LeaseStatus
from dispatch_core.vocabulary.commands import Claim, Renew
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
