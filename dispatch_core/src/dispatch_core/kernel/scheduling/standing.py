"""How a job stands against others: which of them an engine would take before it, and how many wait before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

from attrs import field, frozen

from dispatch_core.kernel.scheduling.explanation import Reason
from dispatch_core.kernel.scheduling.matcher import WAITS_FOR_BETTER, Front, Matcher
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.kernel.scheduling.routing import Route
from dispatch_core.kernel.scheduling.rules import EngineView
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import (
    ENGINE_LANES,
    OPEN_LANE,
    Job,
    engine_lane,
    group_lane,
    rank_of,
)

WAIT_OR_RANK = "wait, or let it rank higher"


class Backlog(Protocol):
    """What waits, as far as it is looked at: never all of it."""

    def fronts(self) -> Sequence[Front]:
        """Every bucket by its first job, in rank order."""
        ...

    def lines(self, lanes: Collection[str]) -> Sequence[tuple[Sequence[Job], bool]]:
        """The first jobs of every bucket of these lanes in rank order, and whether those are all."""
        ...


@frozen
class Place:
    """What waits before a job: the lengths (µs) of those seen in their order, and whether those are all."""

    ahead_us: Sequence[int]
    exact: bool


@frozen
class Rivals:
    """One job among those that wait."""

    job: Job
    backlog: Backlog
    matcher: Matcher
    outlook: Outlook
    now: int
    _own: Front | None = field(init=False)
    """The bucket it waits in."""

    @_own.default
    def _(self) -> Front | None:
        if self.job.ready is None:
            return None
        bucket = self.job.ready.bucket
        return next((each for each in self.backlog.fronts() if each[1] == bucket), None)

    def reasons(self, view: EngineView) -> list[Reason]:
        """Who comes first on an engine, or where the job is left to; none: a claim would choose it.

        An engine looks at the first job of each bucket that fits it: what stands behind that one has to wait.
        """
        before = self._before_it(view)
        rival = before or self.job
        if (route := self.matcher.elsewhere(rival, view.engine, self.outlook, self.now)) is not None:
            return [self._left(route, view, behind=before)]
        if before is not None:
            return [self._after(before, view)]
        mine = self.matcher.rank(self.job, view.engine, self.outlook)
        first = self._first_before(mine, view)
        return [] if first is None else [self._after(first, view)]

    def _before_it(self, view: EngineView) -> Job | None:
        """The first job of its own bucket that fits the engine, if it stands before it."""
        mine = rank_of(self.job)
        if self._own is None or self._own[0] >= mine:
            return None
        _, _, first, rest = self._own
        return self._fit(first, rest, view, lambda each: rank_of(each) < mine)

    def _first_before(self, mine: tuple[int, int, str], view: EngineView) -> Job | None:
        """The best of what the engine would take before it, its own lanes looked at first.

        No job ranks before its place in the order, so the look ends there.
        """
        assert self.job.ready is not None
        own = lanes_of(view.engine, self.outlook)
        for wanted in (True, False):
            best: tuple[tuple[int, int, str], Job] | None = None
            for rank, bucket, first, rest in self.backlog.fronts():
                if rank > (mine if best is None else best[0]):
                    break
                if (bucket[0] in own) is not wanted or bucket == self.job.ready.bucket:
                    continue
                if not wanted and bucket[0].startswith(ENGINE_LANES):
                    continue
                found = self._taken(first, rest, view)
                if found is not None and found[0] < (mine if best is None else best[0]):
                    best = found
            if best is not None:
                return best[1]
        return None

    def _taken(
        self, first: Job, rest: Callable[[], Iterator[Job]], view: EngineView
    ) -> tuple[tuple[int, int, str], Job] | None:
        job = self._fit(first, rest, view, lambda _: True)
        if job is None or self.matcher.elsewhere(job, view.engine, self.outlook, self.now) is not None:
            return None
        return self.matcher.rank(job, view.engine, self.outlook), job

    def _fit(
        self,
        first: Job,
        rest: Callable[[], Iterator[Job]],
        view: EngineView,
        goes_on: Callable[[Job], bool],
    ) -> Job | None:
        """The first of a bucket that fits an engine, as far as the look goes on."""
        if self.matcher.bars(first, view.engine):
            return None
        job: Job | None = first
        behind: Iterator[Job] | None = None
        while job is not None and goes_on(job):
            if not self.matcher.reasons(job, view, self.outlook):
                return job
            behind = rest() if behind is None else behind
            job = next(behind, None)
        return None

    def _after(self, first: Job, view: EngineView) -> Reason:
        theirs, mine = (self.matcher.rank(each, view.engine, self.outlook) for each in (first, self.job))
        late_s = (mine[1] - theirs[1]) / SECOND_US
        if theirs[0] < mine[0]:
            why = "its band is served before"
        elif late_s >= 0:
            why = f"it counts as late {late_s:.1f} s earlier"
        else:
            why = "it is before it in the queue"
        return Reason("outranked", f"{first.id} comes first: {why}", WAIT_OR_RANK)

    def _left(self, route: Route, view: EngineView, behind: Job | None) -> Reason:
        job = behind or self.job
        here_s = self.matcher.estimate(job, view.engine, self.outlook).here_us / SECOND_US
        free_s, run_s = route.wait_us / SECOND_US, route.here_us / SECOND_US
        who = "" if behind is None else f"is behind {behind.id}, which "
        message = (
            f"{who}is left to {self._named(route.group)}: done there in {free_s + run_s:.0f} s"
            f" (free in {free_s:.0f} s + {run_s:.0f} s run), here in {here_s:.0f} s"
        )
        return Reason(WAITS_FOR_BETTER, message, f"wait, or pin it to {view.engine.id}")

    def _named(self, group: str) -> str:
        members = self.outlook.members_of(group) or (group,)
        return members[0] if len(members) == 1 else f"{members[0]} and {len(members) - 1} like it"

    def place(self, lanes: Collection[str], pool: Sequence[Engine]) -> Place:
        """What of these lanes the engines of a pool would be granted before it; without engines, all of it."""
        mine = rank_of(self.job)
        ahead: list[Job] = []
        exact = True
        for jobs, whole in self.backlog.lines(lanes):
            if pool and all(self.matcher.bars(jobs[0], engine) for engine in pool):
                continue
            ahead += [each for each in jobs if rank_of(each) < mine]
            exact = exact and (whole or rank_of(jobs[-1]) >= mine)
        ahead.sort(key=rank_of)
        return Place([each.ready.est_us for each in ahead if each.ready is not None], exact)


def lanes_of(engine: Engine, outlook: Outlook) -> frozenset[str]:
    """The lanes an engine serves as its own: its pins', its groups', and the open one."""
    groups = (group_lane(name) for name in outlook.groups_of(engine.id))
    return frozenset((OPEN_LANE, engine_lane(engine.id), *groups))
