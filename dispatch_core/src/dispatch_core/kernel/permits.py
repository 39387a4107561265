"""Who may do what: the table from verbs to scopes. What is not in it is for the owner of the process alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import ForbiddenError
from dispatch_core.vocabulary.scopes import ADMINS, ANYONE, ENGINES, OPERATORS, SUBMITTERS, Scopes, lowest

# Commands by the name of their class, questions by the name of their function. A time command has no row.
PERMITS: Final[Mapping[str, Scopes]] = {
    **dict.fromkeys(
        ("Submit", "SubmitEach", "Update", "Cancel", "Hold", "Release", "Requeue", "Delete", "Restore"),
        SUBMITTERS,
    ),
    **dict.fromkeys(
        ("job", "jobs", "attempts", "history", "explain", "stats", "engines", "estimates"), SUBMITTERS
    ),
    **dict.fromkeys(("Register", "Heartbeat", "Deregister", "ReportBenchmark", "Claim", "preview"), ENGINES),
    **dict.fromkeys(("Renew", "ReportProgress", "Complete", "Fail", "GiveBack"), ENGINES),
    **dict.fromkeys(("engine", "resolve"), SUBMITTERS | ENGINES),
    "probe": ANYONE,
    **dict.fromkeys(("Assign", "SetWanted", "events", "look_at_many"), ADMINS),
    **dict.fromkeys(("CreatePool", "EditPool", "DeletePool"), ADMINS),
    **dict.fromkeys(("SetLimit", "DeleteLimit"), ADMINS),
    **dict.fromkeys(("limit", "limits"), SUBMITTERS | ENGINES),
    "ReportPool": ENGINES,
    **dict.fromkeys(("PlanWindow", "EndWindow"), ADMINS),
    **dict.fromkeys(("windows", "campaign"), SUBMITTERS),
    **dict.fromkeys(("pool", "pools", "performance"), SUBMITTERS | ENGINES),
    "PurgeJob": OPERATORS,
    "Rekey": OPERATORS,
    **dict.fromkeys(("CreateKey", "RevokeKey", "RotateKey", "keys"), ADMINS),
}


def check_permit(context: Context, verb: str, engine_id: str | None = None) -> None:
    """Raises ForbiddenError if the verb, or speaking for this engine, is not for this caller."""
    if context.scopes is None:
        return
    asked = PERMITS.get(verb, frozenset())
    if not context.has(asked):
        raise ForbiddenError(f"this needs the scope {lowest(asked)}")
    if context.engine_id is not None and engine_id not in (None, context.engine_id):
        raise ForbiddenError(f"this key speaks for engine {context.engine_id} only")


def tenant_for_keys(context: Context, named: str | None) -> str:
    """The tenant whose keys are meant. Raises ForbiddenError if it is another's, and the caller no operator."""
    if named is None or named == context.tenant or context.operates:
        return context.tenant if named is None else named
    raise ForbiddenError("the keys of another tenant are the operator's business")
