"""Campaigns: how far the jobs that belong together have come, counted in one look at an index."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from dispatch_core.ports.storage import Query, Tally, Transaction
from dispatch_core.shell.forms import Form, instant
from dispatch_core.shell.house import House
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import UnknownCampaignError
from dispatch_core.vocabulary.jobs import Job, JobState
from dispatch_core.vocabulary.records import RecordType


@frozen(kw_only=True)
class CampaignProgress:
    """How far a campaign has come. Jobs that are deleted or purged are no longer counted.

    ``jobs`` holds all states. ``queued_us`` is the estimated work of the jobs that an engine may claim now, as it
    was when each began to wait; not that of jobs that run, are held or wait for a time. ``first_us`` and ``last_us``
    are when the first and the last job were submitted.
    """

    name: str
    jobs: Mapping[str, int]
    queued_us: int
    first_us: int
    last_us: int

    @property
    def open(self) -> int:
        """Jobs that have not ended."""
        return sum(self.jobs[state.value] for state in JobState if not state.terminal)


def campaign(snapshot: Transaction, house: House, context: Context, name: str) -> CampaignProgress:
    """How far a campaign of the tenant has come. Raises UnknownCampaignError if it has no job.

    Costs a look at the index entries of its jobs, and at no other.
    """
    cells = {cell.keys[0]: cell for cell in snapshot.tally(Tally.CAMPAIGN, (context.tenant, name))}
    ends = [_end(snapshot, context, name, descending=descending) for descending in (False, True)]
    if not cells or None in ends:
        raise UnknownCampaignError(f"there is no campaign {name}")
    return CampaignProgress(
        name=name,
        jobs={state.value: cells[state].count if state in cells else 0 for state in JobState},
        queued_us=sum(cell.total for cell in cells.values()),
        first_us=ends[0] or 0,
        last_us=ends[1] or 0,
    )


def _end(snapshot: Transaction, context: Context, name: str, *, descending: bool) -> int | None:
    where = {"tenant": (context.tenant,), "campaign": (name,), "deleted": ("no",)}
    query = Query(where=where, sort="created_us", descending=descending, limit=1)
    found = snapshot.find(RecordType.JOB, query).records
    return next((job.created_us for job in found if isinstance(job, Job)), None)


def campaign_form(found: CampaignProgress) -> Form:
    """How far a campaign has come, as people see it."""
    return {
        "name": found.name,
        "jobs": dict(found.jobs),
        "count": sum(found.jobs.values()),
        "open": found.open,
        "queued_s": found.queued_us / SECOND_US,
        "first_submitted_at": instant(found.first_us),
        "last_submitted_at": instant(found.last_us),
    }
