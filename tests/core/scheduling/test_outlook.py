"""What a server keeps in mind of the fleet is what the store says, and nothing it keeps leaves a job lying."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch_core import (
    ConflictError,
    Context,
    Dispatcher,
    ManualClock,
    SeededIds,
    Settings,
    Storage,
    StorageUnavailableError,
)
from dispatch_core.kernel.scheduling.accounts import ACCOUNTS_MAX, ACTIVE_US, Accounts
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.shell.batch import Entry, commit
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.faults import CommitFault, FaultyStorage
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.commands import Cancel, Claim, Command, Complete, SetWanted, Submit
from dispatch_core.vocabulary.context import LOCAL
from dispatch_core.vocabulary.engines import WantedState
from tests.core.conftest import MakeDispatcher
from tests.core.scheduling.test_routes import claimed, farm, film, lane, profile

__all__ = ["farm"]
NEEDY = film(100, requirements=("disk_free_gb >= 5",))


def batch(dispatcher: Dispatcher, *commands: Command) -> list[Entry]:
    """Commands decided and written together."""
    entries = [Entry(command, LOCAL) for command in commands]
    commit(dispatcher._house, entries)
    return entries


def told(outlook: Outlook) -> tuple[object, object]:
    """Lengths and weights queued by group; runs by engine."""
    queues = {name: (sum(each.lengths), sum(each.weights)) for name, each in outlook._queues.items()}
    runs = {name: list(each.runs) for name, each in outlook._standings.items() if each.runs}
    return {name: sums for name, sums in queues.items() if any(sums)}, runs


def test_a_batch_that_begins_before_the_outlook_is_read_leaves_no_ghosts(
    make_dispatcher: MakeDispatcher, storage: Storage
) -> None:
    """The first batch of a server ends a run, cancels, and submits: what has ended neither runs nor waits."""
    first = make_dispatcher()
    for name, speed in (("fast", 10.0), ("slow", 1.0)):
        first.register(name, profile(speed), session="s")
    jobs = [first.submit(film(100)) for _ in range(3)]
    (lease,) = first.claim("fast", session="s")
    waiting = next(job for job in jobs if job.id != lease.job.id)
    second = make_dispatcher(ids=SeededIds(5))
    done = Complete(job_id=lease.job.id, token=lease.token, engine_id="fast", result={})
    for entry in batch(second, done, Cancel(job_id=waiting.id), Submit(specs=(film(10),))):
        entry.answer()
    with storage.read() as snapshot:
        fresh = second._house.fleet.fresh_outlook(snapshot)
        assert told(second._house.fleet._outlook) == told(fresh)  # type: ignore[arg-type]  # it was read


def test_a_job_passed_over_is_not_forgotten_with_the_outlook(farm: Dispatcher, clock: ManualClock) -> None:
    """Engines that ask once a minute, while the outlook is read again in between: the other one still gets it."""
    farm.heartbeat("fast", session="s", disk_free_bytes=1)
    farm.heartbeat("slow", session="s", disk_free_bytes=10**12)
    job = farm.submit(NEEDY)
    clock.advance(10)
    assert claimed(farm, "fast") == []
    clock.advance(35)
    farm._house.forget()
    assert claimed(farm, "slow") == [job.id]


def test_only_engines_of_its_group_pass_a_job_over(make_dispatcher: MakeDispatcher) -> None:
    """That a third engine could not take it, frees nobody else to."""
    dispatcher = make_dispatcher()
    for name, speed in (("fast", 10.0), ("full", 3.0), ("slow", 1.0)):
        dispatcher.register(name, profile(speed), session="s")
        assert claimed(dispatcher, name) == []
        dispatcher.heartbeat(name, session="s", disk_free_bytes=1 if name == "full" else 10**12)
    job = dispatcher.submit(NEEDY)
    assert lane(job) == "group:fast"
    assert claimed(dispatcher, "full") == []
    assert claimed(dispatcher, "slow") == []
    assert claimed(dispatcher, "fast") == [job.id]


def test_a_clock_set_back_leaves_no_job_to_who_asked_in_the_future(
    farm: Dispatcher, clock: ManualClock
) -> None:
    """An hour back: that an engine asked then says nothing about now."""
    clock.advance(-3_600)
    job = farm.submit(film(100))
    assert claimed(farm, "slow") == [job.id]


@pytest.mark.parametrize("wanted", [WantedState.CORDONED, WantedState.ACTIVE])
def test_rules_are_asked_anew_after_a_failed_save(clock: ManualClock, wanted: WantedState) -> None:
    """What was decided about an engine as it never came to be, does not hold for what it becomes."""
    store = FaultyStorage(MemoryStorage(clock))
    with Dispatcher(store) as dispatcher:
        dispatcher.register("one", profile(1.0), session="s")
        if wanted is WantedState.ACTIVE:
            dispatcher.cordon("one", reason="disk")
        job = dispatcher.submit(film(10))
        store.fault = CommitFault.BEFORE
        with pytest.raises(StorageUnavailableError):
            batch(dispatcher, SetWanted(engine_id="one", state=wanted), Claim(engine_id="one", session="s"))
        if wanted is WantedState.ACTIVE:
            dispatcher.drain("one", reason="disk")
            assert claimed(dispatcher, "one") == []
        else:
            dispatcher.register("one", profile(2.0), session="s")
            assert claimed(dispatcher, "one") == [job.id]


def test_a_pinned_job_is_found_by_its_engine_in_the_batch_of_another(make_dispatcher: MakeDispatcher) -> None:
    """A lane that changes in a batch, and that the first engine does not serve, is read for the one that does."""
    first = make_dispatcher()
    for name in ("one", "two"):
        first.register(name, profile(1.0), session="s")
    gone, job = (first.assign(first.submit(film(10)).id, "one") for _ in range(2))
    claims = [Claim(engine_id=name, session="s") for name in ("two", "one")]
    entries = batch(make_dispatcher(ids=SeededIds(5)), Cancel(job_id=gone.id), *claims)
    assert [[lease.job.id for lease in entry.answer()] for entry in entries[1:]] == [[], [job.id]]


def test_accounts_of_other_tenants_have_clocks_of_their_own(make_dispatcher: MakeDispatcher) -> None:
    """A flood in one tenant's account does not put back the account of that name of another's."""
    dispatcher = make_dispatcher(settings=Settings(account_push_s=600))
    dispatcher.register("one", profile(1.0), session="s")
    dispatcher.submit(film(1, account="quiet"))
    dispatcher.submit_many([film(60, account="bulk") for _ in range(40)])
    other = dispatcher.acting(Context(tenant="other", actor="them"))
    other.submit(film(1, account="quiet"))
    job, alike = (other.submit(film(60, account=name)) for name in ("bulk", "third"))
    assert job.ready is not None
    assert alike.ready is not None
    assert job.ready.order_key - job.created_us == alike.ready.order_key - alike.created_us


def test_accounts_are_forgiven_after_an_hour_and_beyond_a_number() -> None:
    """The slowest counts while it is heard of; no tenant has more clocks than ``ACCOUNTS_MAX``."""
    accounts = Accounts(push_us=10**12)
    accounts.push("t", "idle", 1, 1, 0)
    for at_us in range(300):
        accounts.push("t", "busy", SECOND_US, 1, at_us)
    assert accounts.push("t", "busy", 1, 1, 300) > 500 * SECOND_US
    assert accounts.push("t", "busy", 1, 1, ACTIVE_US + 1) == 0
    for number in range(ACCOUNTS_MAX + 5):
        accounts.push("t", f"a{number}", 1, 1, ACTIVE_US + 2)
    (known,) = accounts._tenants.values()
    assert len(known.clocks) == ACCOUNTS_MAX + 1
    assert known.total == ACCOUNTS_MAX + 1
    assert len(known._order) <= 2 * ACCOUNTS_MAX + 70


def test_an_account_pays_once_for_a_job_that_is_decided_again(clock: ManualClock) -> None:
    """A lost race or a failed save charges nothing: the keys are those of a store where nothing went wrong."""
    pushed = []
    for unlucky in (False, True):
        storage = MemoryStorage(clock)
        dispatcher = Dispatcher(storage, ids=SeededIds())
        inner = storage._tables.commit
        lost: list[int] = []

        def race(*arguments: Any, lost: list[int] = lost, inner: Any = inner) -> None:
            lost.append(1)
            if len(lost) % 3:
                raise ConflictError([])
            inner(*arguments)

        if unlucky:
            storage._tables.commit = race  # type: ignore[assignment, method-assign]  # two races lost before each save
        dispatcher.submit(film(1, account="quiet"))
        jobs = [dispatcher.submit(film(60, account="bulk")) for _ in range(5)]
        pushed.append([job.ready.order_key - job.created_us for job in jobs if job.ready])
    assert pushed[0] == pushed[1]
    assert pushed[0] == sorted(set(pushed[0]))


def test_runs_teach_while_the_outlook_is_to_be_read_again(farm: Dispatcher, clock: ManualClock) -> None:
    """A batch that only reports, after a save failed: the run is learned from all the same."""
    job = farm.submit(film(10))
    (lease,) = farm.claim("fast", session="s")
    assert lease.job.id == job.id
    clock.advance(100)
    farm._house.forget()
    farm.complete(lease)
    rates = farm._house.fleet._rates
    assert rates is not None
    assert [each.count for each in rates._engines.values()] == [1.0]
