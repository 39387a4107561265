"""Handlers of limits by key."""

from __future__ import annotations

from dispatch_core.kernel.limits import decide_limit
from dispatch_core.ports.storage import Query
from dispatch_core.shell.handlers.handler import Handler, Phase
from dispatch_core.shell.limitview import limits_of
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import LimitExceededError
from dispatch_core.vocabulary.limits import LIMITS_MAX, Ledger, Limit, LimitCommand, LimitDeleted, SetLimit
from dispatch_core.vocabulary.records import RecordType, ref_of

_PAGE = 10_000


def _change(command: LimitCommand, context: Context, workspace: Workspace) -> Limit:
    limit = workspace.limit(command.key, context)
    if isinstance(command, SetLimit) and limit is None and _full(workspace, context.tenant):
        raise LimitExceededError(f"the tenant has {LIMITS_MAX} limits; remove some", retry_after_s=60)
    for event in decide_limit(limit, command, context.tenant):
        limit = workspace.limit_happened(limit, event, context)
        if isinstance(event, LimitDeleted):
            _drop_ledgers(limit, workspace)
    assert limit is not None
    return limit


def _full(workspace: Workspace, tenant: str) -> bool:
    return len(limits_of(workspace.transaction, tenant)) >= LIMITS_MAX


def _drop_ledgers(limit: Limit, workspace: Workspace) -> None:
    """Its buckets go with it: one of the same key begins with full ones."""
    where = {"tenant": (limit.tenant,), "limit": (limit.name,)}
    found = workspace.transaction.find(RecordType.LEDGER, Query(where=where, sort="limit", limit=_PAGE))
    for each in found.records:
        workspace.adopt(each)
        if isinstance(workspace.get(ref_of(each)), Ledger):
            workspace.drop(ref_of(each))


# Which tenant's limit is meant, the command alone does not say: it is read when it is decided.
CHANGE = Handler(phase=Phase.CONTROL, needs=lambda _command: (), run=_change)
