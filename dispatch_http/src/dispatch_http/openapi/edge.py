"""What stands at the edge for fields that are stored otherwise, and the words for fields that need some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from dispatch_core import JobState, Length, Retry, Scope, Text
from dispatch_core.forms import JobFilter
from dispatch_http.openapi.schemas import Instant, Keywords

_START = {
    "not_before": {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "not to be granted before; RFC 3339 with a zone, such as 2030-01-31T12:00:00Z",
    }
}
_DEADLINE_AT = {
    "type": "string",
    "format": "date-time",
    "description": "when it should be done; RFC 3339 with a zone, such as 2030-01-31T12:00:00Z",
}
_NATURAL = {"type": ["integer", "null"], "minimum": 0, "maximum": 2**63 - 1}
_Grantable = Annotated[
    str, Keywords({"enum": [scope.value for scope in Scope if scope is not Scope.OPERATOR]})
]
_ONE_OR_MORE = Annotated[tuple[Text, ...], Length(0, 50)] | Text
_RETRIES = {
    "type": "integer",
    "minimum": 0,
    "maximum": 99,
    "description": "attempts after the first; or give `retry.max_attempts`, which counts the first, too",
}
EDGE: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("JobSpec", "retry"): {"retry": Retry, "max_retries": _RETRIES},
    ("Edit", "retry"): {"retry": Retry, "max_retries": _RETRIES},
    ("NewKey", "scopes"): {"scopes": Annotated[tuple[_Grantable, ...], Length(1, 3)]},
    ("NewKey", "expires_at"): {"expires_at": Instant | None},
    ("Plan", "begins_at"): {"begins_at": Instant | None},
    ("Plan", "ends_at"): {"ends_at": Instant},
    ("Assignment", "until"): {"until": Instant | None},
    ("ManyJobs", "filter"): {"filter": JobFilter},
    ("JobFilter", "state"): {"state": Annotated[tuple[JobState, ...], Length(1, 50)] | JobState},
    **{
        ("JobFilter", name): {name: _ONE_OR_MORE}
        for name in ("kind", "engine", "account", "campaign", "tenant")
    },
    **{
        ("JobFilter", name): {name: Instant | None}
        for name in ("created_since", "created_until", "updated_since", "updated_until")
    },
    ("JobSpec", "not_before_us"): _START,
    ("Edit", "not_before_us"): _START,
    ("Deadline", "at_us"): {"at": _DEADLINE_AT},
    ("Edit", "merge"): {},
    ("JobSize", "size_bytes"): {
        "size_bytes": {**_NATURAL, "format": "int64"},
        "size_mb": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1e12,
            "description": "`size_bytes` in megabytes (1,000,000 bytes); give one of the two",
        },
    },
    ("JobSize", "duration_us"): {
        "duration_us": {**_NATURAL, "format": "int64"},
        "duration_s": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1e12,
            "description": "`duration_us` in seconds; give one of the two",
        },
    },
}
WORDS: Mapping[tuple[str, str], str] = {
    ("JobSpec", "priority"): "higher first",
    ("JobSpec", "kind"): "what the parameters are and how runtimes are measured",
    ("JobSpec", "parameters"): "what an engine needs to know; for `transcode` see TranscodeParameters",
    ("JobSpec", "requirements"): "terms `fact op value`, such as `encoder has libx265`; `prefer` before one "
    "makes it a preference",
    ("JobSpec", "account"): "whose share of the fleet it uses",
    ("JobSpec", "campaign"): "the name of the jobs that it belongs together with, for good",
    ("JobSpec", "mode"): "how it is ordered, if not by the mode of the server",
    ("JobSpec", "deadline"): "when it should be done; `deadline_missed` says in the end whether it was",
    ("Deadline", "hard"): "it moves the job forward; a soft one is only reported",
    ("JobSpec", "ladder"): "steps in which the wish becomes looser while nobody takes the job",
    (
        "LadderStep",
        "after_s",
    ): "seconds in which the job could be claimed; more than those of the step before",
    ("LadderStep", "requirements"): "instead of those before",
    ("LadderStep", "parameters"): "a JSON merge patch over those before",
    ("JobSpec", "hold"): "submit it held: not to be granted until released",
    ("Assignment", "engine_id"): "null unpins",
    ("Plan", "engine_id"): "null means all engines",
    ("Plan", "begins_at"): "now, if it is not given",
    ("Registration", "session"): "one text per start of the process",
    ("HeldToken", "token"): "of the lease",
    ("Progress", "fraction"): "0 to 1",
    ("Progress", "speed"): "units of work (media seconds) per second",
    ("Benchmark", "units_per_s"): "units of work (media seconds) per second, one job running",
    ("Profile", "slots"): "how many jobs it takes at a time",
    ("Profile", "facts"): "what requirements are held against; lists are sets",
}
