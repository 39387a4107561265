"""What can be seen of the demo at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from dispatch_cli.demo.plan import ENGINES, Part
from dispatch_cli.target import ENDED, Form, JobQuery, Target

LATEST_KILL: Final = 0.7
"""Beyond this fraction it is not worth killing an engine: its job could end first."""


@frozen(kw_only=True)
class Act:
    """One job of the demo: its part, its number for people, and its id."""

    number: int
    part: Part
    job_id: str

    @property
    def title(self) -> str:
        """What it does, in a few words."""
        scaled = f" {self.part.height}p" if self.part.height else ""
        return f"{self.part.clip.name} → {self.part.codec}{scaled}"


@frozen(kw_only=True)
class Scene:
    """Jobs in the order of the plan, engines as the server sees them, and the one that was killed."""

    at_s: float
    acts: Sequence[Act]
    jobs: Mapping[str, Form]
    engines: Mapping[str, Form]
    killed: str | None = None

    @property
    def over(self) -> bool:
        """Whether every job has ended."""
        return all(job["state"] in ENDED for job in self.jobs.values())

    def job(self, act: Act) -> Form:
        """The job of an act."""
        return self.jobs[act.job_id]

    def running(self, act: Act) -> Form | None:
        """The open attempt of an act; an engine that was killed only seems to have one."""
        for engine in self.engines.values():
            for attempt in engine["attempts"]:
                if attempt["job_id"] == act.job_id:
                    return dict(attempt)
        return None

    def fraction(self, act: Act) -> float:
        """How far an act is, 0 to 1."""
        if self.job(act)["state"] == "completed":
            return 1.0
        progress = (self.running(act) or {}).get("progress")
        return float(progress["fraction"]) if progress else 0.0


def look(target: Target, acts: Sequence[Act], at_s: float, killed: str | None) -> Scene:
    """Ask the server."""
    jobs = target.jobs(JobQuery(limit=1_000, sort="created_at"))["jobs"]
    engines = target.engines(left=True)["engines"]
    return Scene(
        at_s=at_s,
        acts=acts,
        jobs={job["id"]: job for job in jobs},
        engines={engine["id"]: engine for engine in engines},
        killed=killed,
    )


def victim(scene: Scene) -> tuple[Act, str] | None:
    """The act to interrupt, and the engine to kill for it: at work, not nearly done, and replaceable by the others.

    The first act comes first; others are looked at only when it has ended.
    """
    first = scene.acts[0]
    candidates = scene.acts if scene.job(first)["state"] in ENDED else [first]
    for act in candidates:
        attempt = scene.running(act)
        if attempt is None or not 0 < scene.fraction(act) < LATEST_KILL:
            continue
        engine_id = str(attempt["engine_id"])
        if all(_has_another(left, engine_id) for left in _unfinished(scene)):
            return act, engine_id
    return None


def _unfinished(scene: Scene) -> list[Act]:
    return [act for act in scene.acts if scene.job(act)["state"] not in ENDED]


def _has_another(act: Act, engine_id: str) -> bool:
    """Whether an act could be done without this engine."""
    others = [cast for cast in ENGINES if cast.id != engine_id and cast.can(act.part.codec)]
    return any("streaming=true" in cast.options or not act.part.requirements for cast in others)


def seen(scene: Scene, engine_id: str) -> str:
    """How an engine stands, in one word."""
    engine: dict[str, Any] = dict(scene.engines.get(engine_id) or {})
    if engine_id == scene.killed:
        return "killed"
    return str(engine.get("seen", "starting"))
