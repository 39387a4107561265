"""What comes out where many things were asked for at once, as classes."""

from __future__ import annotations

from attrs import frozen

from dispatch_http.openapi.answers import Attempt, Job, LeaseStatus, Problem


@frozen(kw_only=True)
class SubmittedList:
    """The jobs of a list that was submitted, in its order."""

    jobs: tuple[Job, ...]


@frozen(kw_only=True)
class SubmittedLine:
    """What became of a line: 201 with the job, or another status with the problem. Lines are counted from 1."""

    line: int
    status: int
    job: Job | None = None
    problem: Problem | None = None


@frozen(kw_only=True)
class ReportAnswer:
    """What a report was answered: 200 with the lease or the attempt, or another status with the problem."""

    job_id: str | None
    status: int
    lease: LeaseStatus | None = None
    attempt: Attempt | None = None
    problem: Problem | None = None


@frozen(kw_only=True)
class ReportAnswers:
    """The answers to many reports, in their order."""

    reports: tuple[ReportAnswer, ...]
