"""The one word for where a job is, what it means in a sentence, and the smallest change that would help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attrs import frozen

from dispatch_core.kernel.scheduling.explanation import EngineAnswer, JobVerdict, Reason
from dispatch_core.kernel.scheduling.matcher import WAITS_FOR_BETTER
from dispatch_core.kernel.scheduling.severity import Severity, price_of, severity_of
from dispatch_core.vocabulary.jobs import Job, JobState


@frozen
class Verdict:
    """One word, its sentence, the mend, and the engine that the mend would make ready."""

    verdict: JobVerdict
    summary: str
    unblock: str = ""
    nearest: str | None = None


def settled(job: Job) -> Verdict | None:
    """Answers that need no look at the fleet."""
    if job.deleted_us is not None or job.state.terminal:
        why = f": {job.error.message}" if job.error else ""
        if job.deleted_us is not None:
            return Verdict(JobVerdict.ENDED, f"it is deleted, and was {job.state.value}{why}", "restore it")
        return Verdict(JobVerdict.ENDED, f"it is {job.state.value}{why}", "requeue it")
    if job.state is JobState.ASSIGNED:
        stop = ", asked to stop" if job.cancel_asked else ""
        return Verdict(JobVerdict.RUNNING, f"{job.engine_id} runs attempt {job.live_attempt}{stop}")
    if job.held is not None:
        why = f": {job.held}" if job.held else ""
        return Verdict(JobVerdict.LIMITED, f"it is on hold{why}", "release it")
    if job.state is JobState.DELAYED:
        return Verdict(JobVerdict.WAITING, "its not-before time has not come", "edit not_before")
    if job.state is JobState.FAILED_RETRY:
        late = "a late report of its last attempt" if job.live_attempt else "the end of its back-off"
        why = f"; last error: {job.error.message}" if job.error else ""
        return Verdict(JobVerdict.WAITING, f"it waits for {late}{why}", "requeue it")
    return None


def waiting(job: Job, answers: Sequence[EngineAnswer]) -> Verdict:
    """The best news any engine has for a pending job: that of the one whose reasons are removed most easily."""
    if not answers:
        return Verdict(JobVerdict.NEVER, "no engine is registered", "start an engine")
    nearest = min(answers, key=lambda answer: (price_of(answer.reasons), answer.engine_id))
    name, hardest = nearest.engine_id, price_of(nearest.reasons)[0]
    match hardest:
        case 0:
            return Verdict(JobVerdict.NEXT, f"the next claim of {name} gets it", nearest=name)
        case Severity.RANK:
            return _outranked(nearest)
        case Severity.BUSY:
            every = "every capable engine is occupied"
            return Verdict(JobVerdict.BUSY, every, "wait, or add an engine", name)
        case Severity.LIMITED:
            return _limited(job, nearest)
        case Severity.OFFLINE:
            away = "the engines that could run it are away or out of service"
            return Verdict(JobVerdict.OFFLINE, away, _mends(nearest, Severity.LIMITED), name)
        case _:
            summary = f"no engine can run it: {_most_common(answers)}"
            return Verdict(JobVerdict.NEVER, summary, _mends(nearest, Severity.LIMITED), name)


def _outranked(nearest: EngineAnswer) -> Verdict:
    left = [each for each in nearest.reasons if each.code == WAITS_FOR_BETTER]
    if left and len(left) == len(nearest.reasons):
        return Verdict(JobVerdict.OUTRANKED, f"it {left[0].message}", left[0].mend, nearest.engine_id)
    first = "capable engines are free, but other jobs come first"
    return Verdict(JobVerdict.OUTRANKED, first, "raise its priority", nearest.engine_id)


def _limited(job: Job, nearest: EngineAnswer) -> Verdict:
    first = nearest.reasons[0]
    if first.code == "pinned" and job.pin is not None:
        pinned = f"it is pinned to {job.pin.engine_id}, which cannot take it now"
        return Verdict(JobVerdict.LIMITED, pinned, "unpin it", nearest.engine_id)
    mends = _mends(nearest, Severity.LIMITED)
    summary = f"it {first.message.removeprefix('it ')}"
    return Verdict(JobVerdict.LIMITED, summary, mends, nearest.engine_id)


def _most_common(answers: Sequence[EngineAnswer]) -> str:
    hard = (each for answer in answers for each in answer.reasons if _rules_out(each))
    return Counter(each.message.split(";")[0] for each in hard).most_common(1)[0][0]


def _rules_out(reason: Reason) -> bool:
    return severity_of(reason) is Severity.NEVER


def _mends(answer: EngineAnswer, least: Severity) -> str:
    """What removes its reasons from ``least`` on: those below it pass by themselves."""
    found = [each.mend for each in answer.reasons if each.mend and severity_of(each) >= least]
    return " and ".join(dict.fromkeys(found))
