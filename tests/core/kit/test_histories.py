"""The history checker on what real dispatchers do under concurrency, and on wrong histories that it must refuse."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core import (
    CommandRejectedError,
    Dispatcher,
    JobError,
    JobKind,
    JobSpec,
    Lease,
    ManualClock,
    Profile,
    Retry,
    Settings,
)
from dispatch_core.storage import create_storage
from dispatch_core.testing.checkers import all_jobs
from dispatch_core.testing.histories import (
    Act,
    Allowance,
    Ending,
    Entry,
    Granted,
    HistoryVerdict,
    Logbook,
    Operation,
    Witness,
    appending,
    check_history,
    operations_of,
    read_logs,
)
from dispatch_core.vocabulary.errors import StorageUnavailableError

KIND = JobKind(name="poster")
SPEC = JobSpec(kind="poster", retry=Retry(max_attempts=3, first_delay_s=0.01))
ALLOWED = Allowance(attempts_max=3, give_backs_max=1)
BROKEN = JobError(failure_class="engine", message="no")


def op(act: Act, begun: int, ended: int | None = None, **fields: object) -> Operation:
    """An operation on job-1 that was done, if it ended."""
    ending = Ending.UNKNOWN if ended is None else Ending.REFUSED if "code" in fields else Ending.DONE
    named = {"process": "p", "job_id": "job-1", "begun_us": begun, "ended_us": ended, "ending": ending}
    return Operation(act=act, **{**named, **fields})  # type: ignore[arg-type]  # names of its fields


def claim(begun: int, ended: int, token: str, engine: str, **fields: object) -> Operation:
    """A claim that was given job-1 under a token."""
    lease = (Granted(job_id="job-1", token=token),)
    return op(Act.CLAIM, begun, ended, job_id=None, engine_id=engine, process=engine, granted=lease, **fields)


def report(act: Act, begun: int, ended: int | None, token: str, engine: str, **fields: object) -> Operation:
    """A report about an attempt of job-1."""
    return op(act, begun, ended, token=token, engine_id=engine, process=engine, **fields)


def told(history: Sequence[Operation], stored: Sequence[str] | None = None) -> str:
    """What the checker says of a history that it must refuse."""
    found = check_history(history, allowance=ALLOWED, stored=stored)
    assert found.verdict is HistoryVerdict.FALSE
    return str(found)


SUBMIT = op(Act.SUBMIT, 0, 1)


# ----- what must be refused


def test_a_zombie_completion_after_a_new_grant() -> None:
    """An engine whose job was granted anew must hear that its lease is lost; the words show both."""
    words = told([
        SUBMIT, claim(2, 3, "x.1", "e1"), report(Act.PROGRESS, 4, 5, "x.1", "e1"), claim(10, 11, "x.2", "e2"),
        report(Act.COMPLETE, 12, 13, "x.1", "e1"), op(Act.LOOK, 20, 21, answer={"state": "completed"}),
    ])  # fmt: skip
    assert "e2: claim → granted x.2" in words
    assert "e1: complete of x.1 → done" in words
    assert "its live attempt x.2 of e2" in words
    assert "progress" not in words, "what is not needed to see it is not told"
    assert "look" not in words


def test_a_late_completion_counts_while_nobody_was_granted_the_job_since() -> None:
    """The same is true if the two overlap, or if the lease only ran out."""
    late = report(Act.COMPLETE, 9, 13, "x.1", "e1")
    found = check_history([SUBMIT, claim(2, 3, "x.1", "e1"), late], allowance=ALLOWED)
    assert found.verdict is HistoryVerdict.TRUE
    lost = claim(10, 12, "x.2", "e2")
    assert check_history([SUBMIT, claim(2, 3, "x.1", "e1"), late, lost]).verdict is HistoryVerdict.FALSE
    unheard = report(Act.COMPLETE, 9, None, "x.1", "e1")
    assert check_history([SUBMIT, claim(2, 3, "x.1", "e1"), unheard, lost]).verdict is HistoryVerdict.TRUE


def test_one_token_granted_twice() -> None:
    """No two claims are given the same attempt."""
    history = [SUBMIT, claim(2, 3, "x.1", "e1"), claim(4, 5, "x.1", "e2")]
    assert "no order" in told(history)
    assert check_history(history).duplicated == ("job-1",)


def test_two_ends_of_one_life() -> None:
    """A job that was completed is neither cancelled nor completed by another attempt."""
    done = [SUBMIT, claim(2, 3, "x.1", "e1"), report(Act.COMPLETE, 4, 5, "x.1", "e1")]
    told([*done, op(Act.CANCEL, 6, 7, answer={"state": "cancelled"})])
    told([*done, claim(6, 7, "x.2", "e2")])
    again = op(Act.REQUEUE, 6, 7, answer={"state": "pending", "generation": 2})
    anew = [*done, again, claim(8, 9, "x.2", "e2"), report(Act.COMPLETE, 10, 11, "x.2", "e2")]
    assert check_history(anew).verdict is HistoryVerdict.TRUE


def test_an_acknowledged_submit_that_is_never_seen_again() -> None:
    """What was acknowledged is stored, and can be read."""
    assert "lost: job-1" in told([SUBMIT], stored=[])
    words = told([SUBMIT, op(Act.LOOK, 5, 6, code="unknown-job")])
    assert "look → refused, unknown-job" in words


def test_a_repeat_that_is_answered_differently() -> None:
    """One key, one answer; one report, one answer."""
    first, other = {"state": "pending"}, {"state": "delayed"}
    tries = [op(Act.SUBMIT, 0, 1, key="k", answer=first), op(Act.SUBMIT, 2, 3, key="k", answer=other)]
    assert "a repeat was answered differently" in told(tries)
    granted = [SUBMIT, claim(2, 3, "x.1", "e1")]
    reports = [report(Act.COMPLETE, 4, 5, "x.1", "e1", answer={"ended_us": 4}),
               report(Act.COMPLETE, 6, 7, "x.1", "e1", answer={"ended_us": 6})]  # fmt: skip
    assert "a repeat was answered differently" in told([*granted, *reports])
    told([*granted, reports[0], report(Act.COMPLETE, 6, 7, "x.1", "e1", code="lease-lost")])
    told([*granted, reports[0], report(Act.FAIL, 6, 7, "x.1", "e1")])


def test_a_key_that_makes_two_jobs() -> None:
    """The tries of one key are one submit."""
    tries = [op(Act.SUBMIT, 0, 1, key="k"), op(Act.SUBMIT, 2, 3, key="k", job_id="job-2")]
    assert "duplicated: job-1, job-2" in told(tries)


def test_a_cancelled_job_is_not_granted() -> None:
    """Nor is one granted while it runs elsewhere on a lease that was not over, as far as anybody knows."""
    told([SUBMIT, op(Act.CANCEL, 2, 3, answer={"state": "cancelled"}), claim(4, 5, "x.1", "e1")])


def test_a_completion_without_a_grant() -> None:
    """A token that nobody was given completes nothing."""
    assert "complete of x.1" in told([SUBMIT, report(Act.COMPLETE, 4, 5, "x.1", "e1")])


def test_a_token_is_fenced_to_its_engine() -> None:
    """A report in another engine's name is not accepted."""
    told([SUBMIT, claim(2, 3, "x.1", "e1"), report(Act.COMPLETE, 4, 5, "x.1", "e2")])


def test_a_job_that_nobody_asked_for() -> None:
    """It may come from a submit without an answer, if there was one before it was seen."""
    granted = claim(5, 6, "x.1", "e1")
    assert "unexpected: job-1" in told([granted])
    unheard = op(Act.SUBMIT, 3, None, job_id=None, key="k")
    found = check_history([unheard, granted])
    assert (found.verdict, found.recovered) == (HistoryVerdict.TRUE, ("job-1",))
    told([attrs.evolve(unheard, begun_us=7), granted])
    told([unheard, granted], stored=["job-1", "job-2"])


def test_a_grant_that_nobody_heard_of() -> None:
    """A number left out is explained by a claim without an answer, but one such claim explains one number."""
    unheard = op(Act.CLAIM, 3, None, job_id=None, engine_id="e9", process="e9")
    history = [SUBMIT, claim(6, 7, "x.2", "e1")]
    told(history)
    assert check_history([*history, unheard]).verdict is HistoryVerdict.TRUE
    told([*history, attrs.evolve(unheard, begun_us=8)])
    twice = [*history, op(Act.SUBMIT, 0, 1, job_id="job-2"),
             attrs.evolve(claim(6, 7, "", "e1"), granted=(Granted(job_id="job-2", token="x.2"),))]  # fmt: skip
    assert "2 grants were told to nobody, but only 1 claims" in told([*twice, unheard])


# ----- what real dispatchers do


class Crowd:
    """Clients and engines of a dispatcher, each a thread that does what its dice say, and heed no advice."""

    def __init__(self, dispatcher: Dispatcher, sink: Callable[[Entry], None]) -> None:
        self.dispatcher, self.sink = dispatcher, sink
        self.jobs: list[str] = []

    def client(self, number: int, rounds: int) -> None:
        dice = Random(number)
        witness = Witness(self.dispatcher, Logbook(f"client-{number}", self.sink))
        for turn in range(rounds):
            self.jobs.append(witness.submit(SPEC, key=f"{number}-{turn}").id)
            if dice.random() < 0.3:
                witness.submit(SPEC, key=f"{number}-{turn}")
            act = dice.choice([witness.cancel, witness.requeue, witness.look, witness.look])
            with suppress(CommandRejectedError):
                act(dice.choice(self.jobs))

    def engine(self, name: str, rounds: int) -> None:
        dice = Random(name)
        witness = Witness(self.dispatcher, Logbook(name, self.sink))
        self.dispatcher.register(name, Profile(kinds=("poster",), slots=50), session="1")
        for _ in range(rounds):
            for lease in witness.claim(name, session="1", limit=2):
                for _ in range(dice.randint(1, 3)):
                    with suppress(CommandRejectedError):
                        self.report(witness, lease, dice)
            self.dispatcher.tick()

    def report(self, witness: Witness, lease: Lease, dice: Random) -> None:
        match dice.randint(0, 5):
            case 0:
                witness.renew(lease)
            case 1:
                witness.progress(lease, 0.5)
            case 2:
                witness.fail(lease, BROKEN)
            case 3:
                witness.give_back(lease)
            case _:
                witness.complete(lease, {"by": lease.token})

    def run(self, rounds: int) -> None:
        threads = [threading.Thread(target=self.client, args=(number, rounds)) for number in range(2)]
        threads += [threading.Thread(target=self.engine, args=(f"e{number}", rounds)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        witness = Witness(self.dispatcher, Logbook("judge", self.sink))
        for job_id in self.jobs:
            witness.look(job_id)


@pytest.mark.parametrize("url", ["memory:", "sqlite"])
def test_what_a_dispatcher_does_for_many_threads_is_true(url: str, tmp_path: Path) -> None:
    """Submits, claims, reports, cancels and requeues of five threads, with leases that run out all the time."""
    storage = create_storage(tmp_path / "jobs.db" if url == "sqlite" else url)
    hasty = Settings(
        lease_ttl_s=0.1, heartbeat_s=0.05, cancel_grace_s=0.1, late_report_s=0.1, give_backs_max=1
    )
    entries: list[Entry] = []
    with Dispatcher(storage, kinds=[KIND], settings=hasty, group_commit=True) as dispatcher:
        Crowd(dispatcher, entries.append).run(rounds=40)
        with storage.read() as snapshot:
            stored = [job.id for job in all_jobs(snapshot)]
    storage.close()
    history = operations_of(entries)
    found = check_history(history, allowance=ALLOWED, stored=stored)
    assert found.verdict is HistoryVerdict.TRUE, str(found)
    assert (found.jobs, found.recovered) == (80, ())
    assert {each.act for each in history} == set(Act)


STEPS = st.lists(
    st.tuples(st.sampled_from(list(Act)), st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=30
)


@settings(max_examples=80)
@given(steps=STEPS)
def test_what_a_dispatcher_does_step_by_step_is_true_and_nothing_else(
    steps: Sequence[tuple[Act, int, int, bool]],
) -> None:
    """One command after the other, while time jumps on; then no answer may be another one that contradicts it."""
    clock = ManualClock()
    entries: list[Entry] = []
    few = Settings(give_backs_max=1)
    with Dispatcher(create_storage("memory:", clock=clock), kinds=[KIND], settings=few) as dispatcher:
        witness = Witness(dispatcher, Logbook("one", entries.append))
        for number in range(2):
            dispatcher.register(f"e{number}", Profile(kinds=("poster",), slots=9), session="1")
        jobs = [witness.submit(SPEC).id]
        leases: list[Lease] = []
        for act, one, other, waits in steps:
            if waits:
                clock.advance((0.001, 31, 61, 700)[one])
                dispatcher.tick()
            with suppress(CommandRejectedError):
                _do(witness, act, jobs, leases, one, other)
        jobs = list(dict.fromkeys(jobs))
        for job_id in jobs:
            witness.look(job_id)
    history = operations_of(entries)
    found = check_history(history, allowance=ALLOWED, stored=jobs)
    assert found.verdict is HistoryVerdict.TRUE, str(found)
    last = attrs.evolve(history[-1], answer={**history[-1].answer, "generation": 9})
    assert check_history([*history[:-1], last], allowance=ALLOWED).verdict is HistoryVerdict.FALSE


def _do(witness: Witness, act: Act, jobs: list[str], leases: list[Lease], one: int, other: int) -> None:
    job_id = jobs[other % len(jobs)]
    match act:
        case Act.SUBMIT:
            jobs.append(witness.submit(SPEC, key=f"k{one}").id)
        case Act.CLAIM:
            leases += witness.claim(f"e{one % 2}", session="1")
        case Act.CANCEL | Act.REQUEUE | Act.LOOK:
            {Act.CANCEL: witness.cancel, Act.REQUEUE: witness.requeue, Act.LOOK: witness.look}[act](job_id)
        case Act.COMPLETE if leases and one == 0:
            witness.complete(leases[0], {"n": 0})  # the first of all: whatever has become of it since
        case _ if leases:
            lease = leases[-1 - one % len(leases)]
            if other > 3:  # a stranger, or a token that was made up
                made_up = attrs.evolve(lease, token=f"x.{lease.attempt}")
                lease = attrs.evolve(lease, engine_id="e7") if other == 4 else made_up
            reports: dict[Act, Callable[[], object]] = {
                Act.RENEW: lambda: witness.renew(lease),
                Act.PROGRESS: lambda: witness.progress(lease, one / 4),
                Act.COMPLETE: lambda: witness.complete(lease, {"n": other}),
                Act.FAIL: lambda: witness.fail(lease, attrs.evolve(BROKEN, retryable=other > 0)),
                Act.GIVE_BACK: lambda: witness.give_back(lease),
            }
            reports[act]()
        case _:
            return  # nothing was ever granted


# ----- logs


def test_logs_of_several_processes_are_read_as_one_history(tmp_path: Path) -> None:
    """What a killed process asked is known, a torn last line is passed over, and the order is that of the clock."""
    instants = iter(range(1, 100))
    for name in ("client", "engine"):
        with (tmp_path / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            book = Logbook(name, appending(file), lambda: next(instants))
            n = book.invoke(Act.SUBMIT, key="k")
            if name == "client":
                book.ok(n, {"state": "pending"}, job_id="job-1")
            else:
                file.write('{"process": "eng')
    client, engine = read_logs(sorted(tmp_path.glob("*.jsonl")))
    assert (client.job_id, client.begun_us, client.ended_us) == ("job-1", 1, 2)
    assert (engine.process, engine.ending, engine.ended_us) == ("engine", Ending.UNKNOWN, None)


def test_a_log_that_is_none_is_refused_by_line(tmp_path: Path) -> None:
    """A line in the middle that cannot be read is named; two processes of one name are refused."""
    path = tmp_path / "log.jsonl"
    path.write_text('{"what": 1}\n')
    with pytest.raises(ValueError, match=r"log.jsonl:1: not an entry"):
        read_logs([path])
    entries: list[Entry] = []
    for _ in range(2):
        Logbook("one", entries.append).invoke(Act.LOOK, job_id="job-1")
    with pytest.raises(ValueError, match="tells twice"):
        operations_of(entries)


def test_an_error_of_the_store_is_an_unknown_outcome() -> None:
    """A witness logs refusals as such, and anything else as not known, and raises both."""
    entries: list[Entry] = []

    class Failing(Dispatcher):
        def job(self, job_id: str) -> object:  # type: ignore[override]  # it never answers
            raise StorageUnavailableError(job_id)

    with Failing(create_storage("memory:"), kinds=[KIND]) as dispatcher:
        witness = Witness(dispatcher, Logbook("one", entries.append))
        with pytest.raises(StorageUnavailableError):
            witness.look("job-1")
        with pytest.raises(CommandRejectedError):
            witness.cancel("job-1")
    assert [each.ending for each in operations_of(entries)] == [Ending.UNKNOWN, Ending.REFUSED]
