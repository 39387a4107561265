"""The counters that follow jobs from state to state: what a store says of them without counting rows."""

from __future__ import annotations

from collections import defaultdict

from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.limits import waiting_of

ACCEPTED = "accepted"
PURGED = "purged"

Counters = defaultdict[tuple[str, str], int]
"""What a batch adds, by tenant and name."""


def count_step(counters: Counters, before: Job | None, after: Job) -> None:
    """A job came (``before`` is None), or went from one state to another."""
    tenant = after.tenant
    if before is None:
        counters[tenant, ACCEPTED] += 1
    elif before.state is not after.state:
        counters[tenant, before.state.value] -= 1
    if before is None or before.state is not after.state:
        counters[tenant, after.state.value] += 1
    for job, step in ((before, -1), (after, 1)):
        if job is not None and job.spec.account is not None and job.waits:
            counters[tenant, waiting_of(job.spec.account)] += step


def count_purge(counters: Counters, job: Job) -> None:
    """A job went for good."""
    counters[job.tenant, job.state.value] -= 1
    counters[job.tenant, PURGED] += 1
