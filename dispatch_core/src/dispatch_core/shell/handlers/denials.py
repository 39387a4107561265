"""Handlers of denied attempts."""

from __future__ import annotations

from collections.abc import Collection

from dispatch_core.kernel.denials import decide_denials
from dispatch_core.shell.handlers.handler import Handler, Phase
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.denials import DAY_US, DenialTrail, PurgeDenials, WriteDenials, trail_key
from dispatch_core.vocabulary.records import RecordType, Ref


def _trail(workspace: Workspace, key: str) -> DenialTrail | None:
    found = workspace.get((RecordType.DENIALS, key))
    return found if isinstance(found, DenialTrail) else None


def _tenants(command: WriteDenials) -> list[str]:
    return list(dict.fromkeys(each.tenant for each in command.denied))


def _write(command: WriteDenials, _context: Context, workspace: Workspace) -> bool:
    for tenant in _tenants(command):
        trail = _trail(workspace, trail_key(workspace.now // DAY_US, tenant))
        mine = [each for each in command.denied if each.tenant == tenant]
        for actor, event in decide_denials(trail, mine):
            trail = workspace.denied(trail, tenant, event, Context(actor=actor))
    return True


def _then(command: WriteDenials, workspace: Workspace) -> Collection[Ref]:
    return [(RecordType.DENIALS, trail_key(workspace.now // DAY_US, tenant)) for tenant in _tenants(command)]


def _purge(command: PurgeDenials, _context: Context, workspace: Workspace) -> bool:
    trail = _trail(workspace, command.key)
    if trail is None or (trail.due_us or 0) > workspace.now:
        return False
    workspace.forget((RecordType.DENIALS, command.key))
    return True


WRITE = Handler(phase=Phase.CONTROL, needs=lambda _command: (), then=_then, run=_write)
PURGE = Handler(phase=Phase.CONTROL, needs=lambda command: [(RecordType.DENIALS, command.key)], run=_purge)
