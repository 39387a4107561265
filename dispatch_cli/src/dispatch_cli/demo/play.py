"""The course of the demo: submit, watch, kill an engine at work, wait for the rescue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from attrs import frozen

from dispatch_cli.demo.display import Display
from dispatch_cli.demo.plan import ENGINES, Part
from dispatch_cli.demo.scene import Act, Scene, look, victim
from dispatch_cli.demo.stage import LEASE_TTL_S, Stage
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.instants import utc_now
from dispatch_cli.target import Form, Target

LOOK_S: Final = 0.2


@frozen(kw_only=True)
class Killing:
    """Which engine was killed, at which job, how far that was, when, and what the server then said of the job."""

    act: Act
    engine_id: str
    fraction: float
    at: datetime
    explanation: Form


@frozen(kw_only=True)
class Played:
    """How it went."""

    acts: Sequence[Act]
    scene: Scene
    killing: Killing | None


class Play:
    """One performance on a stage whose server runs."""

    def __init__(self, stage: Stage, target: Target, display: Display, *, limit_s: float) -> None:
        self._stage = stage
        self._target = target
        self._display = display
        self._limit_s = limit_s
        self._started = time.monotonic()
        self._killing: Killing | None = None

    def run(self, parts: Sequence[Part], outputs: Path, url: str) -> Played:
        """All of it. Raises CommandFailure if it takes too long, or a process ends that should not."""
        for cast in ENGINES:
            self._stage.start_engine(cast, url)
        acts = [
            Act(number=n, part=part, job_id=self._target.submit(part.form(n, outputs))["id"])
            for n, part in enumerate(parts, 1)
        ]
        self._display.say(f"{len(acts)} jobs submitted; three engines are starting.")
        scene = self._look(acts)
        while not scene.over:
            self._check_time()
            time.sleep(LOOK_S)
            scene = self._look(acts)
            if self._killing is None:
                self._perhaps_kill(scene)
        self._display.show(scene)
        return Played(acts=acts, scene=scene, killing=self._killing)

    def _look(self, acts: Sequence[Act]) -> Scene:
        killed = self._killing.engine_id if self._killing else None
        self._stage.check(["server", *(cast.id for cast in ENGINES if cast.id != killed)])
        scene = look(self._target, acts, time.monotonic() - self._started, killed)
        self._display.show(scene)
        return scene

    def _perhaps_kill(self, scene: Scene) -> None:
        found = victim(scene)
        if found is None:
            return
        act, engine_id = found
        self._stage.kill(engine_id)
        self._killing = Killing(
            act=act,
            engine_id=engine_id,
            fraction=scene.fraction(act),
            at=utc_now(),
            explanation=self._target.explain(act.job_id),
        )
        self._display.say(
            f"SIGKILL: {engine_id} dies at {100 * self._killing.fraction:.0f} % of job {act.number}. The server is not "
            f"told; its lease runs out within {LEASE_TTL_S:g} s (30 s unless set otherwise), and another engine starts over."
        )

    def _check_time(self) -> None:
        if time.monotonic() - self._started > self._limit_s:
            raise CommandFailure(
                "demo-failed",
                f"not all jobs had ended after {self._limit_s:g} s",
                exit_code=ExitCode.NEGATIVE,
                hint="give it longer with --time-limit, or fewer and shorter inputs",
            )
