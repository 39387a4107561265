"""Handlers of storage pools."""

from __future__ import annotations

from dispatch_core.kernel.patching import merge_patch
from dispatch_core.kernel.pools import decide_pool, known_pool
from dispatch_core.shell.handlers.handler import Handler, Phase
from dispatch_core.shell.parse import parse
from dispatch_core.shell.poolview import pools_of
from dispatch_core.shell.wire import to_plain
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError, LimitExceededError
from dispatch_core.vocabulary.pools import POOLS_MAX, CreatePool, EditPool, Pool, PoolCommand, PoolSpec


def check_pool(pool_id: str | None, workspace: Workspace, context: Context) -> None:
    """Raises InvalidCommandError if a job names a pool that the tenant has not."""
    if pool_id is not None and workspace.pool(pool_id, context) is None:
        raise InvalidCommandError([FieldProblem("/pool", f"there is no pool {pool_id}")])


def _change(command: PoolCommand, context: Context, workspace: Workspace) -> Pool:
    pool = workspace.pool(command.pool_id, context)
    edited = None
    if isinstance(command, EditPool):
        plain = to_plain(known_pool(pool, command.pool_id).spec)
        edited = parse(PoolSpec, merge_patch(plain, command.merge))
    if isinstance(command, CreatePool) and len(pools_of(workspace.transaction, context.tenant)) >= POOLS_MAX:
        raise LimitExceededError(f"the tenant has {POOLS_MAX} pools; delete some", retry_after_s=60)
    for event in decide_pool(pool, command, context.tenant, edited):
        pool = workspace.pool_happened(pool, event, context)
    assert pool is not None
    return pool


# Which tenant's pool is meant, the command alone does not say: it is read when it is decided.
CHANGE = Handler(phase=Phase.CONTROL, needs=lambda _command: (), run=_change)
