"""Campaigns."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from dispatch_http.openapi.operations.operation import Answer, Operation
from dispatch_http.openapi.schemas import Instant


@frozen(kw_only=True)
class Campaign:
    """How far a campaign has come: its jobs by state, and the estimated work of those that may be claimed now."""

    name: str
    jobs: Mapping[str, int]
    count: int
    open: int
    queued_s: float
    first_submitted_at: Instant
    last_submitted_at: Instant


CAMPAIGNS: Mapping[str, Operation] = {
    "GET /campaigns/{campaign}": Operation(
        name="getCampaign",
        words="How far the jobs of a campaign have come.",
        answers={200: Answer(kind=Campaign)},
    ),
}
