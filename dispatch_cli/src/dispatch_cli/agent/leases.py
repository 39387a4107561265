"""A lease as an engine sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dispatch_cli.engine.limits import Limits


@frozen(kw_only=True)
class Lease:
    """One grant: the job, and the token that reports about it must carry."""

    job_id: str
    token: str
    attempt: int
    engine_id: str
    ttl_s: float
    kind: str
    parameters: Mapping[str, object]
    limits: Limits = field(factory=Limits)

    @property
    def named(self) -> dict[str, object]:
        """The fields that every report begins with."""
        return {"token": self.token, "engine_id": self.engine_id}


def lease_from_form(form: Mapping[str, Any]) -> Lease:
    """The lease that a claim was answered with."""
    job = form["job"]
    timeouts = job.get("timeouts") or {}
    return Lease(
        job_id=form["job_id"],
        token=form["token"],
        attempt=form["attempt"],
        engine_id=form["engine_id"],
        ttl_s=form["ttl_s"],
        kind=job["kind"],
        parameters=job["parameters"],
        limits=Limits(run_s=timeouts.get("run_s"), no_progress_s=timeouts.get("no_progress_s")),
    )
