"""The answers to why, as people see them."""

from __future__ import annotations

import attrs

from dispatch_core.kernel.scheduling.explanation import (
    ClaimExplanation,
    EngineAnswer,
    FallAhead,
    JobExplanation,
    StartEstimate,
)
from dispatch_core.shell.forms import Form, instant


def explanation_form(explanation: JobExplanation) -> Form:
    """Why a job is where it is."""
    return {
        "job_id": explanation.job_id,
        "at": instant(explanation.at_us),
        "verdict": explanation.verdict.value,
        "summary": explanation.summary,
        "unblock": explanation.unblock,
        "instead": list(explanation.instead),
        "nearest": explanation.nearest,
        "position": explanation.position,
        "position_exact": explanation.position_exact,
        "estimated_start": None if explanation.start is None else _start_form(explanation.start),
        "mode": explanation.mode,
        "engines": [_answer_form(each) for each in explanation.engines],
        "fall_back": None if explanation.fall_back is None else _fall_form(explanation.fall_back),
    }


def _answer_form(answer: EngineAnswer) -> Form:
    return {
        "engine_id": answer.engine_id,
        "admits": answer.admits,
        "estimate_s": answer.estimate_s,
        "reasons": [attrs.asdict(each) for each in answer.reasons],
    }


def _start_form(start: StartEstimate) -> Form:
    return {
        "p10": instant(start.p10_us),
        "p50": instant(start.p50_us),
        "p90": instant(start.p90_us),
        "engines": list(start.engines),
    }


def _fall_form(ahead: FallAhead) -> Form:
    return {
        "step": ahead.step,
        "next_at": instant(ahead.next_at_us),
        "at": instant(ahead.at_us),
        "engines": list(ahead.engines),
    }


def claim_form(explanation: ClaimExplanation) -> Form:
    """What a claim would see."""
    return {
        "engine_id": explanation.engine_id,
        "at": instant(explanation.at_us),
        "chosen": None if explanation.chosen is None else attrs.asdict(explanation.chosen),
        "runners_up": [attrs.asdict(each) for each in explanation.runners_up],
        "refused": dict(explanation.refused),
        "reasons": [attrs.asdict(each) for each in explanation.reasons],
    }
