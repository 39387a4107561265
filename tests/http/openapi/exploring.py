"""Schemathesis in this process: requests made from the description, each answer held against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import schemathesis
from attrs import field, frozen
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.schemas import BaseSchema

from dispatch_http.admission import WsgiApp

PHASES = ("examples", "coverage", "fuzzing", "stateful")
# Well-formed requests may be refused for what the state or the meaning of the data is; not for their form.
FINE = ["2xx", "304", "404", "409", "412", "422"]
REFUSED = ["400", "401", "403", "404", "405", "406", "409", "412", "415", "422", "428", "429"]
# What no schema can say: that a text is no cursor, and that in free JSON whole numbers fit in 64 bits.
UNSAYABLE = [("GET", "/jobs"), ("POST", "/jobs"), ("PATCH", "/jobs/{job_id}"),
             ("PUT", "/jobs/{job_id}/status"), ("PATCH", "/jobs/{job_id}/status")]  # fmt: skip


@frozen
class Findings:
    """What was seen: how many requests, their statuses by operation, and what went wrong."""

    statuses: Counter[tuple[str, int]] = field(factory=Counter)
    failures: list[str] = field(factory=list)

    @property
    def cases(self) -> int:
        """How many requests were answered."""
        return sum(self.statuses.values())

    def succeeded(self) -> set[str]:
        """The operations that did what they are for, at least once."""
        return {label for label, status in self.statuses if status < 300}


def explore(
    app: WsgiApp,
    key: str,
    *,
    examples: int,
    phases: Sequence[str],
    seed: int = 1,
    but_for: Sequence[str] = (),
) -> Findings:
    """Let Schemathesis loose on an application, some paths left out."""
    config = _config(key, examples, phases, seed)
    schema: BaseSchema = schemathesis.openapi.from_wsgi("/openapi.json", app, config=config)
    if but_for:
        schema = schema.exclude(path=list(but_for))
    found = Findings()
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                found.statuses.update(_answers(event.recorder))
                found.failures.extend(_failures(event.recorder))
            case events.NonFatalError():
                found.failures.append(f"{event.label}: {event.value!r}")
            case events.FatalError():
                raise event.exception
            case _:
                pass
    return found


def _config(key: str, examples: int, phases: Sequence[str], seed: int) -> SchemathesisConfig:
    generation: dict[str, Any] = {
        "max-examples": examples,
        "database": "none",
        "allow-x00": False,  # no schema can say it; the corpus of bad input has it
        "with-security-parameters": False,  # the matrix of routes and callers has them
    }
    settings: dict[str, Any] = {
        "seed": seed,
        "continue-on-failure": True,
        "headers": {"Authorization": f"Bearer {key}"},
        "generation": generation,
        "phases": _phases(phases),
        "checks": {
            "ignored_auth": {"enabled": False},
            "use_after_free": {
                "enabled": False
            },  # deletion is soft: what is deleted can be read and restored
            "positive_data_acceptance": {"expected-statuses": FINE},
            # A precondition is looked at before the body (RFC 9110, 13.2.1), so bad data may meet 412, too.
            "negative_data_rejection": {"expected-statuses": REFUSED},
        },
        "operations": [
            {
                "include-method": method,
                "include-path": path,
                "checks": {"positive_data_acceptance": {"expected-statuses": [*FINE, "400"]}},
            }
            for method, path in UNSAYABLE
        ]
        + [
            {  # each of many is answered for itself, so one that is unfit is refused within a 200
                "include-method": "POST",
                "include-path": "/engines/{engine_id}/reports",
                "checks": {"negative_data_rejection": {"expected-statuses": ["200", *REFUSED]}},
            }
        ],
    }
    return SchemathesisConfig.from_dict(settings)


def _answers(recorder: ScenarioRecorder) -> Iterator[tuple[str, int]]:
    for case_id, interaction in recorder.interactions.items():
        if interaction.response is not None:
            yield recorder.cases[case_id].value.operation.label, interaction.response.status_code


def _failures(recorder: ScenarioRecorder) -> Iterator[str]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                operation = recorder.cases[case_id].value.operation.label
                answer = recorder.interactions[case_id].response
                told = answer and f"{answer.status_code} {answer.text[:300]}"
                yield f"{operation}: {check.name}: {check.failure_info.failure}\n{check.failure_info.code_sample}\n{told}"


def _phases(wanted: Sequence[str]) -> dict[str, Any]:
    chosen: dict[str, Any] = {phase: {"enabled": phase in wanted} for phase in PHASES}
    # What follows what is our word, given as links; guesses would only dilute it.
    chosen["stateful"] |= {"max-steps": 20, "inference": {"algorithms": []}, "link-calibration": False}
    return chosen
