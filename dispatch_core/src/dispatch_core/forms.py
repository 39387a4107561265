"""The edge forms, for frontends: the JSON people and engines see, and the parsers of what they send."""

from dispatch_core.shell.forms import (
    Form,
    attempt_form,
    claim_form,
    edit_from_form,
    engine_form,
    error_form,
    explanation_form,
    heartbeat_form,
    instant,
    job_form,
    lease_form,
    lease_status_form,
    parse_instant,
    profile_from_form,
    recorded_form,
    size_form,
    spec_from_form,
)
from dispatch_core.shell.parse import parse

__all__ = [
    "Form",
    "attempt_form",
    "claim_form",
    "edit_from_form",
    "engine_form",
    "error_form",
    "explanation_form",
    "heartbeat_form",
    "instant",
    "job_form",
    "lease_form",
    "lease_status_form",
    "parse",
    "parse_instant",
    "profile_from_form",
    "recorded_form",
    "size_form",
    "spec_from_form",
]
