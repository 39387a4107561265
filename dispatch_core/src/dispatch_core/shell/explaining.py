"""Why a job waits and what a claim would see, answered beside the writer from a bounded look at what waits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

import attrs

from dispatch_core.kernel.scheduling.classes import tenant_mark
from dispatch_core.kernel.scheduling.explaining import explain_job
from dispatch_core.kernel.scheduling.explanation import ClaimExplanation, JobExplanation, Reason
from dispatch_core.kernel.scheduling.matcher import Front
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.kernel.scheduling.rules import EngineView
from dispatch_core.ports.storage import Transaction
from dispatch_core.shell import queries
from dispatch_core.shell.house import House
from dispatch_core.shell.limitview import LimitsAsSeen
from dispatch_core.shell.poolview import LazyRooms, rooms_of
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.jobs import ENGINE_LANES, Bucket, Job, engine_lane, rank_of
from dispatch_core.vocabulary.pools import PoolRoom

LINES_ROWS_MAX = 256
"""Jobs read at most to tell a job's place, over all buckets it competes with; at least ``LINE_ROWS_MIN`` of each."""
LINE_ROWS_MIN = 4


class StoredBacklog:
    """The jobs of a tenant that wait: the first of each bucket, and what stands behind it when asked for.

    What memory knows of a store of one's own is not read again.
    """

    def __init__(self, snapshot: Transaction, house: House, tenant: str) -> None:
        self._snapshot = snapshot
        self._house = house
        mark = tenant_mark(tenant)
        self._tenant = tenant
        self._buckets = [each for each in snapshot.buckets() if each[1].startswith(mark)]
        self._fronts: list[Front] | None = None
        self._behind: dict[Bucket, Sequence[Job]] = {}

    def fronts(self) -> Sequence[Front]:
        """Every bucket by its first job, in rank order."""
        if self._fronts is None:
            firsts = sorted(self._firsts(), key=rank_of)
            self._fronts = [self._front(each) for each in firsts if each.tenant == self._tenant]
        return self._fronts

    def _firsts(self) -> list[Job]:
        known: Mapping[Bucket, Job] = {}
        if not self._house.storage.traits.shared:
            known = self._house.heads.firsts()
        missing = [each for each in self._buckets if each not in known]
        read = self._snapshot.heads(missing, 1) if missing else {}
        return [known[each] for each in self._buckets if each in known] + [each[0] for each in read.values()]

    def _front(self, first: Job) -> Front:
        assert first.ready is not None
        return rank_of(first), first.ready.bucket, first, partial(self._rest, first)

    def _rest(self, first: Job) -> Iterator[Job]:
        assert first.ready is not None
        bucket = first.ready.bucket
        if bucket not in self._behind:
            rows = self._house.settings.head_rows_max
            found = self._snapshot.heads([bucket], rows, {bucket: rank_of(first)})
            self._behind[bucket] = found.get(bucket, ())
        return iter(self._behind[bucket])

    def lines(self, lanes: Collection[str]) -> list[tuple[Sequence[Job], bool]]:
        """The first jobs of every bucket of these lanes in rank order, and whether those are all."""
        buckets = [each for each in self._buckets if each[0] in lanes]
        if not buckets:
            return []
        rows = max(LINES_ROWS_MAX // len(buckets), LINE_ROWS_MIN)
        found = self._snapshot.heads(buckets, rows)
        return [(found[each], len(found[each]) < rows) for each in buckets if each in found]


def explain(
    snapshot: Transaction, house: House, context: Context, job_id: str, engine_id: str | None
) -> JobExplanation:
    """Why a job is where it is: the verdict of the whole fleet, the answers of all or of one engine."""
    found = queries.job(snapshot, house, context, job_id)
    fleet = queries.engines(snapshot, house, context, False)
    rooms = LazyRooms(lambda: rooms_of(snapshot, context.tenant))
    now = snapshot.now()
    limits = LimitsAsSeen(snapshot, context.tenant)
    outlook = house.fleet.copy(snapshot)
    views = [(_view(each, rooms, limits, house, outlook), len(each.attempts)) for each in fleet]
    backlog = StoredBacklog(snapshot, house, context.tenant)
    explanation = explain_job(found, views, backlog, house.matcher, outlook, now)
    explanation = attrs.evolve(explanation, mode=house.mode_of(found))
    if engine_id is None:
        return explanation
    queries.engine(snapshot, house, context, engine_id)  # unknown or foreign: say so
    asked = tuple(each for each in explanation.engines if each.engine_id == engine_id)
    return attrs.evolve(explanation, engines=asked)


def _view(
    status: queries.EngineStatus,
    rooms: Mapping[str, PoolRoom],
    limits: LimitsAsSeen,
    house: House,
    outlook: Outlook,
) -> EngineView:
    now, ahead = limits.now, house.settings.windows_finish_first
    windows = tuple(each for each in status.windows if ahead or each.open_at(now))

    def others(job: Job) -> Sequence[str]:
        return house.matcher.others(job, status.engine, outlook, rooms)

    left = LazyRooms(partial(limits.rooms, status.engine.id))
    return EngineView(status.engine, status.pulse, rooms, windows, now, others, left)


def preview(snapshot: Transaction, house: House, context: Context, engine_id: str) -> ClaimExplanation:
    """What a claim by this engine would see now."""
    status = queries.engine(snapshot, house, context, engine_id)
    own = engine_lane(engine_id)
    fronts = [
        each
        for each in StoredBacklog(snapshot, house, context.tenant).fronts()
        if each[1][0] == own or not each[1][0].startswith(ENGINE_LANES)
    ]
    rooms = LazyRooms(lambda: rooms_of(snapshot, context.tenant))
    outlook = house.fleet.copy(snapshot)
    view = _view(status, rooms, LimitsAsSeen(snapshot, context.tenant), house, outlook)
    explanation = house.matcher.choose(view, fronts, outlook, view.now_us)[1]
    taken, slots = len(status.attempts), status.engine.slots
    if taken < slots:
        return explanation
    busy = Reason("busy", f"{taken} of {slots} slots are taken", "wait, or more slots")
    return attrs.evolve(explanation, reasons=(busy,), chosen=None)
