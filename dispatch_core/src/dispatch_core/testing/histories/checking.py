"""The verdict on a history: job by job whether it could be true, and in total what was lost or came twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum

from attrs import frozen

from dispatch_core.testing.histories.accounts import Accounts, balance
from dispatch_core.testing.histories.attribution import Attributed, attribute, differing
from dispatch_core.testing.histories.life import Allowance
from dispatch_core.testing.histories.operations import Operation
from dispatch_core.testing.histories.search import find_order
from dispatch_core.testing.histories.telling import smallest_part, told

_TOLD_MAX = 10
_WRONGS = ("lost", "duplicated", "unexpected")


class HistoryVerdict(StrEnum):
    """``gave-up``: nothing wrong was found, but some job was too much work to decide. It is not ``true``."""

    TRUE = "true"
    FALSE = "false"
    GAVE_UP = "gave-up"


@frozen
class Finding:
    """One contradiction: the job it is about (empty if about all), and the operations that contradict each other."""

    job_id: str
    words: str
    operations: tuple[Operation, ...] = ()

    def __str__(self) -> str:
        return f"{self.job_id}: {self.words}" if self.job_id else self.words


@frozen(kw_only=True)
class HistoryReport:
    """What became of a history.

    Ids of jobs are ``lost`` (acknowledged, but not stored at the end), ``duplicated`` (made by a key that made another
    job too, or given twice under one token), ``recovered`` (made by a submit that nobody heard an answer to) or
    ``unexpected`` (nobody ever asked for them). ``steps`` is the work it took.
    """

    jobs: int
    operations: int
    steps: int
    findings: tuple[Finding, ...] = ()
    gave_up: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    @property
    def verdict(self) -> HistoryVerdict:
        """Whether the history could be true."""
        if self.findings or any(getattr(self, name) for name in _WRONGS):
            return HistoryVerdict.FALSE
        return HistoryVerdict.GAVE_UP if self.gave_up else HistoryVerdict.TRUE

    def __str__(self) -> str:
        counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in (*_WRONGS, "recovered"))
        lines = [f"{self.verdict}: {self.jobs} jobs, {self.operations} operations; {counts}"]
        lines += [f"{name}: {', '.join(ids[:_TOLD_MAX])}" for name in _WRONGS if (ids := getattr(self, name))]
        lines += [f"not decided: {', '.join(self.gave_up[:_TOLD_MAX])}"] if self.gave_up else []
        return "\n".join([*lines, *map(str, self.findings[:_TOLD_MAX])])


def check_history(
    operations: Iterable[Operation],
    *,
    allowance: Allowance | None = None,
    stored: Collection[str] | None = None,
    steps_max: int = 100_000,
) -> HistoryReport:
    """Judge a history. ``stored`` are the ids of all jobs that the store holds at the end, if that is known.

    Each job is judged by itself, with at most ``steps_max`` steps. A history may hold what ``Act`` names, about jobs
    that were submitted in it; edits, holds, pins and deletions are not understood.
    """
    history = sorted(operations, key=lambda each: each.begun_us)
    known = attribute(history)
    accounts = balance(history, known, stored)
    judge = _Judge(
        known, allowance or Allowance(), steps_max, min((each.begun_us for each in history), default=0)
    )
    jobs = _by_job(known, accounts)
    verdicts = [judge.judged(job_id, its) for job_id, its in sorted(jobs.items())]
    return HistoryReport(
        jobs=len(jobs) + len(accounts.unexpected),
        operations=len(history),
        steps=sum(steps for steps, _, _ in verdicts),
        findings=(*_globally(history, known, accounts), *(found for _, _, found in verdicts if found)),
        gave_up=tuple(job_id for _, job_id, _ in verdicts if job_id),
        lost=accounts.lost,
        duplicated=accounts.duplicated,
        recovered=tuple(sorted(accounts.origins)),
        unexpected=accounts.unexpected,
    )


def _by_job(known: Attributed, accounts: Accounts) -> dict[str, list[Operation]]:
    jobs: dict[str, list[Operation]] = defaultdict(list)
    for call in (*accounts.origins.values(), *known.calls):
        if call.job_id is not None and call.job_id not in accounts.unexpected:
            jobs[call.job_id].append(call)
    return {job_id: sorted(its, key=lambda each: each.begun_us) for job_id, its in jobs.items()}


def _globally(history: Sequence[Operation], known: Attributed, accounts: Accounts) -> Iterator[Finding]:
    for job_id, first, other in differing(history):
        yield Finding(job_id, f"a repeat was answered differently\n  {first}\n  {other}", (first, other))
    if accounts.grants_missing > len(known.unseen_us):
        yield Finding("", f"{accounts.grants_missing} grants were told to nobody, but only "
                          f"{len(known.unseen_us)} claims had no answer")  # fmt: skip


@frozen
class _Judge:
    known: Attributed
    allowance: Allowance
    steps_max: int
    start_us: int

    def judged(self, job_id: str, its: Sequence[Operation]) -> tuple[int, str, Finding | None]:
        """How many steps it took, the job's id if that was too much, and what is wrong with it."""
        answer = find_order(its, self.allowance, self.known.unseen_us, self.steps_max)
        if answer.possible is not False:
            return answer.steps, "" if answer.possible else job_id, None
        part, why = smallest_part(its, self.allowance, self.known.unseen_us, self.steps_max)
        words = f"no order of these answers is possible\n{told(its, part, why, self.start_us)}"
        return answer.steps, "", Finding(job_id, words, tuple(each for each in part if each.known))
