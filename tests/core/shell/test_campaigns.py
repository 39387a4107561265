"""Campaigns: jobs that belong together are listed, changed and counted together."""

from __future__ import annotations

import pytest

from dispatch_core import (
    Context,
    InvalidCommandError,
    JobSize,
    JobState,
    Query,
    UnknownCampaignError,
)
from tests.core.conftest import MakeDispatcher
from tests.core.house import claim, spec, start

FILMS = "Filme 2030 – été"
MINUTE = JobSize(duration_us=60_000_000)


def test_progress_is_counted_by_state(make_dispatcher: MakeDispatcher) -> None:
    """All states, none forgotten; the queued work is that of what may be claimed now, on the engine each waits for."""
    dispatcher = make_dispatcher()
    start(dispatcher)
    jobs = dispatcher.submit_many([spec(campaign=FILMS, size=MINUTE) for _ in range(5)])
    other = dispatcher.submit_many([spec(campaign="other"), spec()])
    dispatcher.complete(claim(dispatcher))
    claim(dispatcher)
    waiting = [each for each in jobs if dispatcher.job(each.id).state is JobState.PENDING]
    dispatcher.hold(waiting[0].id)
    found = dispatcher.campaigns.progress(FILMS)
    assert {state: count for state, count in found.jobs.items() if count} == {
        "pending": 3, "assigned": 1, "completed": 1
    }  # fmt: skip
    assert set(found.jobs) == {state.value for state in JobState}
    ready = [dispatcher.job(each.id).ready for each in waiting[1:]]
    assert found.queued_us == sum(each.est_us for each in ready if each is not None) > 0
    assert (found.first_us, found.last_us) == (jobs[0].created_us, jobs[-1].created_us)
    assert (found.name, found.open) == (FILMS, 4)
    assert dispatcher.campaigns.progress("other").last_us == other[0].created_us


def test_a_campaign_is_there_while_one_of_its_jobs_is(make_dispatcher: MakeDispatcher) -> None:
    """Of another tenant's it is not there at all; deleted jobs do not count, restored ones do again."""
    dispatcher = make_dispatcher()
    job = dispatcher.submit(spec(campaign=FILMS))
    for name, acting in (("nothing", dispatcher), (FILMS, dispatcher.acting(Context(tenant="other")))):
        with pytest.raises(UnknownCampaignError, match=name):
            acting.campaigns.progress(name)
    theirs = dispatcher.acting(Context(tenant="other"))
    theirs.submit_many([spec(campaign=FILMS), spec(campaign=FILMS)])
    assert [each.campaigns.progress(FILMS).open for each in (dispatcher, theirs)] == [1, 2]
    gone = theirs.submit(spec(campaign=FILMS))
    theirs.delete(theirs.cancel(gone.id).id)
    assert sum(theirs.campaigns.progress(FILMS).jobs.values()) == 2
    dispatcher.delete(dispatcher.cancel(job.id).id)
    with pytest.raises(UnknownCampaignError):
        dispatcher.campaigns.progress(FILMS)
    dispatcher.restore(job.id)
    assert dispatcher.campaigns.progress(FILMS).jobs["cancelled"] == 1


def test_verbs_for_many_reach_a_campaign(make_dispatcher: MakeDispatcher) -> None:
    """Counted, cancelled and requeued by its name, and nobody else's jobs with them."""
    dispatcher = make_dispatcher()
    mine = dispatcher.submit_many([spec(campaign=FILMS) for _ in range(3)])
    theirs = dispatcher.submit(spec(campaign="other"))
    query = Query(where={"campaign": (FILMS,), "state": ("pending",)}, sort="created_us")
    assert dispatcher.cancel_many(query, dry_run=True).count == 3
    assert [job.id for job in dispatcher.cancel_many(query, expected=3).done] == [job.id for job in mine]
    assert dispatcher.job(theirs.id).state is JobState.PENDING
    again = Query(where={"campaign": (FILMS,), "state": ("cancelled",)}, sort="created_us")
    assert len(dispatcher.requeue_many(again, expected=3).done) == 3
    assert dispatcher.campaigns.progress(FILMS).jobs["pending"] == 3


@pytest.mark.parametrize("name", ["", "x" * 101, "films/2030", "/", ".", "..", "a\x00b"])
def test_a_name_that_cannot_stand_in_an_address_is_refused(
    make_dispatcher: MakeDispatcher, name: str
) -> None:
    """It stands in that of its progress."""
    with pytest.raises(InvalidCommandError) as refusal:
        make_dispatcher().submit(spec(campaign=name))
    assert refusal.value.problems[0].path.endswith("/campaign")
