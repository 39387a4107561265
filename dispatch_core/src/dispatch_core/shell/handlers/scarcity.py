"""What is left of pools and limits. A claim rests on it: what counts is locked before anything is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dispatch_core.shell.limitview import Held, ledger_refs, limit_rooms
from dispatch_core.shell.poolview import pool_rooms, pools_of
from dispatch_core.shell.quotaview import limits_of
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.limits import Limit, LimitRoom, limit_id, uses_of
from dispatch_core.vocabulary.pools import Pool, PoolRoom
from dispatch_core.vocabulary.records import RecordType, Ref, ref_of


def free_rooms(workspace: Workspace, tenant: str) -> Mapping[str, PoolRoom]:
    """What is free in a tenant's pools after this batch's grants."""
    refs = _held(workspace, tenant).refs
    pools = [each for each in map(workspace.get, refs) if isinstance(each, Pool)]
    return pool_rooms(pools, workspace.running.of(tenant))


class LimitRooms(Mapping[str, LimitRoom]):
    """What is left for an engine of its tenant's limits after this batch's grants, counted when first asked for.

    Only the limits that the first jobs of the queue use are read, however many there are; a job behind them
    that uses another has all of them read.
    """

    def __init__(self, workspace: Workspace, engine: Engine) -> None:
        self._workspace = workspace
        self._engine = engine
        self._counted: tuple[Held, Mapping[str, LimitRoom]] | None = None

    def __getitem__(self, key: str) -> LimitRoom:
        held = _held(self._workspace, self._engine.tenant)
        return self._of(held if held.settles(key) else _all_held(self._workspace, self._engine.tenant))[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._of(_all_held(self._workspace, self._engine.tenant)))

    def __len__(self) -> int:
        return len(self._of(_all_held(self._workspace, self._engine.tenant)))

    def _of(self, held: Held) -> Mapping[str, LimitRoom]:
        if self._counted is None or self._counted[0] is not held:
            self._counted = (held, _limit_rooms(self._workspace, self._engine, held))
        return self._counted[1]


def _limit_rooms(workspace: Workspace, engine: Engine, held: Held) -> Mapping[str, LimitRoom]:
    limits = [each for each in map(workspace.get, held.refs) if isinstance(each, Limit)]
    if not limits:
        return {}
    refs = ledger_refs(limits, engine.id)
    workspace.load(refs)  # whoever writes one has locked its limit
    ledgers = {ref: workspace.get(ref) for ref in refs}
    return limit_rooms(limits, workspace.running.of(engine.tenant), ledgers, engine.id, workspace.now)


def _held(workspace: Workspace, tenant: str) -> Held:
    """The tenant's pools, and the limits that the first jobs use, locked in one pass."""
    held = workspace.held.get(tenant)
    if held is None:
        keys = _used(workspace, tenant)
        named: list[Ref] = [(RecordType.LIMIT, limit_id(tenant, key)) for key in sorted(keys)]
        workspace.load(named)
        refs = {ref for ref in named if workspace.get(ref) is not None}
        refs |= {ref_of(each) for each in pools_of(workspace.transaction, tenant)} | _made(workspace, tenant)
        held = workspace.held[tenant] = Held(tuple(sorted(refs)), frozenset(keys))
        workspace.lock_again(held.refs)
    return held


def _all_held(workspace: Workspace, tenant: str) -> Held:
    """The tenant's pools and all its limits; what runs is read again behind the locks."""
    held = _held(workspace, tenant)
    if held.keys is None:
        return held
    found = {ref_of(each) for each in limits_of(workspace.transaction, tenant)}
    more = sorted(found - set(held.refs))
    if more:
        workspace.lock_again(more)
        workspace.running.forget(tenant)
    whole = workspace.held[tenant] = Held(tuple(sorted({*held.refs, *more})), None)
    return whole


def _made(workspace: Workspace, tenant: str) -> set[Ref]:
    """The pools and limits that this batch has read or made."""
    known = (each for each in workspace.records() if isinstance(each, (Pool, Limit)))
    return {ref_of(each) for each in known if each.tenant == tenant}


def _used(workspace: Workspace, tenant: str) -> set[str]:
    """The keys that jobs at the head of the queue use, this batch's own included."""
    own = (each for each in workspace.records() if isinstance(each, Job) and each.ready is not None)
    ahead = (*workspace.house.heads.ahead(tenant), *(each for each in own if each.tenant == tenant))
    return {use.key for job in ahead for use in uses_of(job.spec)}
