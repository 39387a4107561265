"""What the processes of a chaos run do: engines that sometimes dawdle, fail or repeat themselves, and clients."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, frozen

from dispatch_core.testing.histories import Act, Logbook, appending
from dispatch_core.testing.histories.witness import as_text
from tests.chaos.caller import Caller, claim_path

PROFILE = {"slots": 3, "facts": {"codec": ["h264"], "ffmpeg": "7.0"}}
JOB = {
    "parameters": {"source": "in.mp4", "target": "out.mp4", "codec": "h264"},
    "retry": {"max_attempts": 50, "first_delay_s": 0.05, "delay_max_s": 0.2},
}
WAIT_S = 0.3


@frozen(kw_only=True)
class Part:
    """What one process is to play; ``start`` counts the starts of an engine, ``jobs`` those that a client submits."""

    role: str
    name: str
    seed: int
    ports: tuple[int, ...]
    folder: str
    start: int = 1
    lease_s: float = 2.0
    jobs: int = 0
    spread_s: float = 0.0


def play(part: Part) -> None:
    """Play it to its end: an engine until SIGTERM, a client until all its jobs are submitted."""
    process = f"{part.name}-{part.start}"
    with Path(part.folder, f"{process}.jsonl").open("w", encoding="utf-8") as file:
        ports = list(part.ports)
        dice = Random(f"{part.seed}/{process}")
        dice.shuffle(ports)
        caller = Caller(
            Logbook(process, appending(file)), ports, answer_s=min(1.5, 0.7 * part.lease_s), dice=dice
        )
        {"engine": _engine, "client": _client}[part.role](part, caller, dice)
        caller.close()


@define
class Leaving:
    """Whether somebody asked the process to end."""

    asked: bool = False

    def ask(self, *_: object) -> None:
        """A handler of signals."""
        self.asked = True


def _engine(part: Part, caller: Caller, dice: Random) -> None:
    leaving = Leaving()
    signal.signal(signal.SIGTERM, leaving.ask)
    session = f"start-{part.start}"
    place = {"session": session, "profile": PROFILE}
    caller.ask(None, "PUT", f"/engines/{part.name}", place)
    while not leaving.asked:
        path = claim_path(part.name, session, WAIT_S)
        heard = caller.ask(Act.CLAIM, "POST", path, wait_s=WAIT_S, engine_id=part.name)
        if heard.done and heard.data is not None:
            Run(part, caller, dice, heard.data).run()
        elif not heard.done:
            caller.ask(None, "PUT", f"/engines/{part.name}", place)


@frozen
class Run:
    """One lease, worked on."""

    part: Part
    caller: Caller
    dice: Random
    lease: Mapping[str, Any]

    def run(self) -> None:
        """Mostly as it should be; at times too slowly, in vain, or told twice."""
        for _ in range(self.dice.choice((0, 1, 1, 2, 3))):
            time.sleep(self.dice.uniform(0.0, 0.08))
            if not self._alive():
                return
        if self.dice.random() < 0.02:  # as if its machine had stood still: the lease runs out meanwhile
            time.sleep(1.3 * self.part.lease_s)
        report, named = self._end()
        for _ in range(self.dice.choice((1, 1, 1, 1, 2))):
            self._report(report, **named)

    def _alive(self) -> bool:
        act = self.dice.choice((Act.RENEW, Act.PROGRESS))
        method = "POST" if act is Act.RENEW else "PUT"
        more = {} if act is Act.RENEW else {"fraction": 0.5}
        heard = self.caller.ask(act, method, self._path(act.value), {**self._held(), **more}, **self._named())
        if heard.done and heard.data["cancel"]:
            self._report({"act": Act.GIVE_BACK, "status": "given_back"})
            return False
        return heard.done

    def _end(self) -> tuple[dict[str, Any], dict[str, Any]]:
        match self.dice.randint(0, 19):
            case 0 | 1:
                return {"act": Act.FAIL, "status": "failed"}, {}
            case 2:
                error = {"failure_class": "input", "retryable": False}
                return {"act": Act.FAIL, "status": "failed", "error": error}, {"retryable": False}
            case 3:
                return {"act": Act.GIVE_BACK, "status": "given_back"}, {}
            case _:
                result = {"by": self.lease["token"], "of": self.caller.book.process}
                done = {"act": Act.COMPLETE, "status": "completed", "result": result}
                return done, {"value": as_text(result)}

    def _report(self, report: Mapping[str, Any], **named: Any) -> None:
        body = {**self._held(), **{name: value for name, value in report.items() if name != "act"}}
        self.caller.ask(report["act"], "PUT", self._path("status"), body, **self._named(), **named)

    def _path(self, verb: str) -> str:
        return f"/jobs/{self.lease['job_id']}/{verb}"

    def _held(self) -> dict[str, str]:
        return {"token": self.lease["token"], "engine_id": self.part.name}

    def _named(self) -> dict[str, Any]:
        return {"job_id": self.lease["job_id"], **self._held()}


def _client(part: Part, caller: Caller, dice: Random) -> None:
    mine: list[str] = []
    begun = time.monotonic()
    for number in range(part.jobs):
        due = begun + part.spread_s * number / part.jobs
        time.sleep(max(0.0, due - time.monotonic()))
        heard = caller.ask(Act.SUBMIT, "POST", "/jobs", {**JOB, "priority": dice.randint(-2, 2)})
        assert heard.status == 201, heard
        mine.append(heard.data["id"])
        job_id = dice.choice(mine)
        match dice.randint(0, 14):
            case 0:
                caller.ask(Act.CANCEL, "POST", f"/jobs/{job_id}/cancel", {}, job_id=job_id)
            case 1 | 2:
                caller.ask(Act.REQUEUE, "POST", f"/jobs/{job_id}/requeue", {}, job_id=job_id)
            case 3 | 4:
                caller.ask(Act.LOOK, "GET", f"/jobs/{job_id}", job_id=job_id)
            case _:
                continue
