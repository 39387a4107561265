"""What came of the demo: every output really decoded, every job accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from attrs import asdict, frozen

from dispatch_cli.demo.play import Killing, Played
from dispatch_cli.demo.scene import Act
from dispatch_cli.demo.story import tell
from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.media import falls_short, verify_decodes
from dispatch_cli.target import Form, Target

DECODERS: Final = 2
DECODE_S_MAX: Final = 600.0


@frozen(kw_only=True)
class Row:
    """One job and its output. ``problem`` is empty if all of the output decodes and is what was asked for."""

    number: int
    job_id: str
    work: str
    codec: str
    priority: int
    state: str
    engine: str
    attempts: int
    wait_s: float
    run_s: float
    size_bytes: int
    decoded_s: float
    problem: str


@frozen(kw_only=True)
class Summary:
    """Everything that is told at the end."""

    seconds: float
    jobs: Sequence[Row]
    counts: Mapping[str, int]
    accepted: int
    identity_holds: bool
    killed: str | None
    rescued: str | None
    story: Sequence[str]

    @property
    def good(self) -> bool:
        """Whether every output decodes and the books balance."""
        return self.identity_holds and all(not row.problem for row in self.jobs)

    def form(self) -> dict[str, Any]:
        """The summary as JSON data."""
        return {**asdict(self), "good": self.good}


def summarise(played: Played, target: Target, ffmpeg: Path) -> Summary:
    """Decode every output, read every attempt, count everything."""
    attempts = {act.job_id: target.attempts(act.job_id)["attempts"] for act in played.acts}
    with ThreadPoolExecutor(DECODERS) as pool:
        checks = list(pool.map(partial(_checked, played, ffmpeg), played.acts))
    rows = [
        _row(act, played.scene.job(act), attempts[act.job_id], *check)
        for act, check in zip(played.acts, checks, strict=True)
    ]
    status = target.status()
    counts = {state: count for state, count in status["jobs"].items() if count}
    killing = played.killing
    balanced = status["identity_holds"] and sum(counts.values()) == status["accepted"] == len(rows)
    return Summary(
        seconds=round(played.scene.at_s, 1),
        jobs=rows,
        counts=counts,
        accepted=status["accepted"],
        identity_holds=balanced,
        killed=killing.engine_id if killing else None,
        rescued=_rescuer(killing, attempts),
        story=tell(killing, target.history(killing.act.job_id)["events"]) if killing else (),
    )


def _checked(played: Played, ffmpeg: Path, act: Act) -> tuple[float, int, str]:
    """Seconds decoded, bytes, and what is wrong with an output."""
    job = played.scene.job(act)
    if job["state"] != "completed":
        return 0.0, 0, f"it is {job['state']}: {(job['error'] or {}).get('message', '')}"
    target = Path(job["parameters"]["target"])
    try:
        media = verify_decodes(target, ffmpeg, timeout_s=DECODE_S_MAX)
    except TranscodeError as error:
        return 0.0, 0, str(error)
    decoded_us = media.duration_us or 0
    problem = ""
    if media.video_codec != act.part.codec:
        problem = f"its codec is {media.video_codec}"
    elif falls_short(decoded_us, act.part.clip.media.duration_us or 0):
        problem = f"it is only {decoded_us / 1e6:.1f} s long"
    return decoded_us / 1e6, media.size_bytes, problem


def _row(
    act: Act, job: Form, attempts: Sequence[Form], decoded_s: float, size_bytes: int, problem: str
) -> Row:
    first = attempts[0] if attempts else {"granted_at": None}
    last: Form = attempts[-1] if attempts else {"granted_at": None, "ended_at": None, "engine_id": ""}
    return Row(
        number=act.number,
        job_id=act.job_id,
        work=act.title,
        codec=act.part.codec,
        priority=act.part.priority,
        state=job["state"],
        engine=last["engine_id"],
        attempts=job["attempts_used"],
        wait_s=_between(job["created_at"], first["granted_at"]),
        run_s=_between(last["granted_at"], last["ended_at"]),
        size_bytes=size_bytes,
        decoded_s=round(decoded_s, 2),
        problem=problem,
    )


def _between(start: str | None, end: str | None) -> float:
    if start is None or end is None:
        return 0.0
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 2)


def _rescuer(killing: Killing | None, attempts: Mapping[str, Sequence[Form]]) -> str | None:
    """The engine that completed the job of the one that was killed."""
    if killing is None:
        return None
    last = attempts[killing.act.job_id][-1]
    return last["engine_id"] if last["outcome"] == "completed" and last["attempt"] > 1 else None
