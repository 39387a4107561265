"""Handlers of limits by key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from dispatch_core.kernel.limits import decide_limit
from dispatch_core.ports.storage import Query
from dispatch_core.shell.handlers.handler import Handler, Phase
from dispatch_core.shell.quotaview import limits_of
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import LimitExceededError
from dispatch_core.vocabulary.jobs import JobSpec, JobState
from dispatch_core.vocabulary.limits import (
    LIMITS_MAX,
    TENANT_KEY,
    Ledger,
    Limit,
    LimitCommand,
    LimitDeleted,
    SetLimit,
    account_key,
    limit_id,
    waiting_of,
)
from dispatch_core.vocabulary.records import RecordType, ref_of

_PAGE = 10_000
WAITING = tuple(state.value for state in JobState if state is not JobState.ASSIGNED and not state.terminal)


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


def check_quotas(specs: Sequence[JobSpec], workspace: Workspace, context: Context) -> None:
    """Raises LimitExceededError if so many more jobs may not wait: of the tenant, or of one of their accounts."""
    house = workspace.house
    quotas = house.quotas.of(workspace.transaction, context.tenant, house.storage.monotonic_us())
    if not quotas:
        return
    more = Counter(spec.account for spec in specs if spec.account is not None)
    asked = {TENANT_KEY: (WAITING, len(specs))}
    asked |= {account_key(name): ((waiting_of(name),), more[name]) for name in sorted(more)}
    refs = [(RecordType.LIMIT, limit_id(context.tenant, key)) for key in asked if key in quotas]
    workspace.lock_again(refs)
    for limit in map(workspace.get, refs):
        if isinstance(limit, Limit):
            _check_quota(limit, *asked[limit.name], workspace)


def _check_quota(limit: Limit, names: Collection[str], more: int, workspace: Workspace) -> None:
    most, waiting = limit.spec.queued_max, workspace.counted(limit.tenant, names)
    if most is not None and waiting + more > most:
        message = f"{waiting} jobs wait already, and limit {limit.name} lets {most} wait"
        raise LimitExceededError(f"{message}: submit fewer, or raise its queued_max", retry_after_s=60)


def _full(workspace: Workspace, tenant: str) -> bool:
    found = {each.name for each in limits_of(workspace.transaction, tenant)}
    made = (each for each in workspace.records() if isinstance(each, Limit))
    return len(found | {each.name for each in made if each.tenant == tenant}) >= LIMITS_MAX


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
