"""The fleet machine with purging: whatever happens around it, the accounting holds and the dead stay dead."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from dispatch_core import Lease, Retention, Settings, UnknownJobError
from dispatch_core.ports.storage import Storage
from dispatch_core.storage import create_storage
from dispatch_core.testing.checkers import check_store
from dispatch_core.testing.machine import FleetMachine
from dispatch_core.vocabulary.clock import Clock
from tests.core.fleet.test_fleet import EXAMPLES, PHASES

SPANS_S = (0.0, 1.0, 60.0)


class PurgingFleet(FleetMachine):
    """Jobs also leave: by an operator's purge, and by the tick."""

    settings_in_use = Settings(
        retain_completed_s=30.0, retain_failed_s=60.0, retain_cancelled_s=0.0, retain_deleted_s=0.0
    )

    def __init__(self) -> None:
        super().__init__()
        self.purged: set[str] = set()
        self.dead_leases: list[Lease] = []

    @rule(server=st.integers(0, 1), data=st.data())
    def purge(self, server: int, data: st.DataObject) -> None:
        """An operator purges, by any terms; what is asked for is what goes."""
        span = st.none() | st.sampled_from(SPANS_S)
        terms = Retention(
            completed_s=data.draw(span), failed_s=data.draw(span),
            cancelled_s=data.draw(span), deleted_s=data.draw(span),
        )  # fmt: skip
        self.call(server, lambda each: each.purge(terms))
        self.laws_hold()
        if self.doors[server % len(self.doors)].fault is None:
            assert self.call(server, lambda each: each.purge(terms, dry_run=True)) is not None

    @precondition(lambda self: self.purged)
    @rule(server=st.integers(0, 1), data=st.data())
    def call_for_the_dead(self, server: int, data: st.DataObject) -> None:
        """No verb and no report reaches a purged job."""
        job_id = data.draw(st.sampled_from(sorted(self.purged)))
        assert self.call(server, lambda each: each.restore(job_id)) is None
        assert self.call(server, lambda each: each.requeue(job_id)) is None
        for lease in self.dead_leases:
            assert self.call(server, lambda each, lease=lease: each.complete(lease)) is None  # type: ignore[misc]  # bound now

    def laws_hold(self) -> None:
        """Every law, of those that live and of those that are gone."""
        self._bury()
        everybody = {*self.jobs, *self.purged}
        check_store(self.storage, self.settings_in_use.give_backs_max, accepted=everybody)
        stats = self.servers[0].stats()
        assert stats.identity_holds
        assert stats.purged == len(self.purged)

    def _bury(self) -> None:
        """Take those that are gone from the lists that other rules draw from; check that none has come back."""
        gone = {job_id for job_id in self.jobs if not self._is_there(job_id)}
        assert not any(map(self._is_there, self.purged))
        self.purged |= gone
        self.jobs = [job_id for job_id in self.jobs if job_id not in gone]
        self.dead_leases += [lease for lease in self.leases if lease.job.id in gone]
        self.leases = [lease for lease in self.leases if lease.job.id not in gone]

    def _is_there(self, job_id: str) -> bool:
        try:
            return self.stored(job_id) is not None
        except UnknownJobError:
            return False


class PurgingSqliteFleet(PurgingFleet):
    """The same on SQLite."""

    def open_storage(self, clock: Clock) -> Storage:
        return create_storage("sqlite://", clock=clock)


TestPurgingFleet = PurgingFleet.TestCase
TestPurgingFleet.settings = settings(
    max_examples=max(EXAMPLES // 3, 5), stateful_step_count=40, deadline=None, phases=PHASES
)
TestPurgingSqliteFleet = PurgingSqliteFleet.TestCase
TestPurgingSqliteFleet.settings = settings(
    max_examples=max(EXAMPLES // 6, 5), stateful_step_count=30, deadline=None, phases=PHASES
)
