"""Handlers of keys."""

from __future__ import annotations

from dispatch_core.kernel.keys import decide_key, decide_new_key, digest_in
from dispatch_core.kernel.permits import tenant_for_keys
from dispatch_core.ports.storage import Query
from dispatch_core.shell.handlers.handler import Handler, Phase, fresh_id
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.commands import CreateKey, RevokeKey, RotateKey
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import LimitExceededError
from dispatch_core.vocabulary.keys import Key
from dispatch_core.vocabulary.records import RecordType

KEYS_MAX = 1_000


def _create(command: CreateKey, context: Context, workspace: Workspace) -> Key:
    tenant = tenant_for_keys(context, command.tenant)
    query = Query(where={"tenant": (tenant,), "revoked": ("no",)}, sort="created_us", limit=KEYS_MAX)
    if len(workspace.transaction.find(RecordType.KEY, query).records) >= KEYS_MAX:
        raise LimitExceededError(f"the tenant has {KEYS_MAX} keys; revoke some", retry_after_s=60)
    event = decide_new_key(command, fresh_id(workspace, RecordType.KEY), tenant, workspace.now)
    return workspace.key_happened(None, event, context, command.digest)


def _change(command: RevokeKey | RotateKey, context: Context, workspace: Workspace) -> Key:
    found = workspace.get((RecordType.KEY, command.key_id))
    key = found if isinstance(found, Key) else None
    if key is not None and key.tenant != context.tenant and not context.operates:
        key = None  # another's key is not there
    for event in decide_key(key, command, workspace.now):
        key = workspace.key_happened(key, event, context, digest_in(command))
    assert key is not None
    return key


CREATE = Handler(phase=Phase.CONTROL, needs=lambda _command: (), run=_create)
CHANGE = Handler(phase=Phase.CONTROL, needs=lambda command: [(RecordType.KEY, command.key_id)], run=_change)
