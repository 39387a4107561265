"""Many jobs at once: counted, confirmed, done job by job; short ids; lists, exports and their order."""

from __future__ import annotations

import pytest

from dispatch_core import (
    AmbiguousIdError,
    BulkReport,
    Context,
    CountChangedError,
    Dispatcher,
    InvalidCommandError,
    JobError,
    JobState,
    KeyReusedError,
    ManualClock,
    Profile,
    Query,
    Settings,
    StorageError,
    UnknownJobError,
)
from dispatch_core.forms import (
    ENGINE_FIELDS,
    JOB_FIELDS,
    JOB_ORDERS,
    JobFilter,
    checked_fields,
    edit_from_form,
    engine_form,
    filter_from_form,
    job_form,
    only,
    spec_from_form,
)
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.faults import CommitFault, FaultyStorage
from tests.core.conftest import MakeDispatcher
from tests.core.house import PARAMETERS, claim, names, spec, start

FAILED = Query(sort="created_us", where={"state": ("failed_permanently",)})


class Numbered:
    """Ids that begin alike: ``job-aaaa0…``, ``job-aaaa1…``."""

    def __init__(self) -> None:
        self._made = 0

    def new(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}-aaaa{self._made}" + "0" * 21


def fail_for_good(dispatcher: Dispatcher, count: int) -> list[str]:
    """Jobs that have failed permanently, oldest first."""
    start(dispatcher)
    ids = [job.id for job in dispatcher.submit_many([spec()] * count)]
    for _ in ids:
        error = JobError(failure_class="input", message="broken", retryable=False)
        dispatcher.fail(claim(dispatcher), error)
    return ids


@pytest.mark.checklist(94)
@pytest.mark.checklist(18)
def test_failed_jobs_are_counted_then_requeued(dispatcher: Dispatcher) -> None:
    """A dry run counts and changes nothing; with its count, each job gets a new generation and a row of history."""
    ids = fail_for_good(dispatcher, 3)
    alive = dispatcher.submit(spec()).id
    assert dispatcher.requeue_many(FAILED, dry_run=True).count == 3
    assert {dispatcher.job(each).generation for each in ids} == {1}
    operator = dispatcher.acting(Context(actor="key:ops"))
    report = operator.requeue_many(FAILED, expected=3)
    assert [job.id for job in report.done] == ids
    assert (report.count, report.refused, report.remaining, report.next) == (3, (), 0, None)
    for job in report.done:
        assert (job.state, job.generation) == (JobState.PENDING, 2)
        last = dispatcher.history(job.id)[-1]
        assert (last.event, last.actor) == ("job-requeued", "key:ops")
    assert dispatcher.job(alive).generation == 1
    numbers = {lease.job.id: lease.attempt for lease in dispatcher.claim("e1", session="s1", limit=4)}
    assert numbers == {alive: 1, **dict.fromkeys(ids, 2)}, "attempt numbers keep counting up"
    assert [each.error is not None for each in dispatcher.attempts(ids[0])] == [True, False]


def test_many_are_changed_only_as_counted(dispatcher: Dispatcher) -> None:
    """Without a count, or if it is not the count any more, nothing is changed."""
    fail_for_good(dispatcher, 2)
    with pytest.raises(InvalidCommandError, match="/expected"):
        dispatcher.requeue_many(FAILED)
    with pytest.raises(CountChangedError, match="2 jobs fit now, not 1"):
        dispatcher.requeue_many(FAILED, expected=1)
    with pytest.raises(InvalidCommandError, match="/where/state"):
        dispatcher.requeue_many(Query(sort="created_us"), expected=2)
    for limit in (0, 1_001):
        with pytest.raises(InvalidCommandError, match="/limit"):
            dispatcher.requeue_many(FAILED, expected=2, limit=limit)
    with pytest.raises(InvalidCommandError, match="/reason"):
        dispatcher.cancel_many(FAILED, dry_run=True, reason="x" * 2_000)
    assert dispatcher.requeue_many(FAILED, dry_run=True).count == 2


def test_many_are_done_in_steps(dispatcher: Dispatcher) -> None:
    """A call is bounded; following its place, every job has its turn once."""
    ids = fail_for_good(dispatcher, 7)
    query, expected, done = FAILED, dispatcher.requeue_many(FAILED, dry_run=True).count, list[str]()
    while True:
        report = dispatcher.requeue_many(query, expected=expected, limit=3)
        done += [job.id for job in report.done]
        if report.next is None:
            break
        query = Query(sort="created_us", where=FAILED.where, after=report.next)
        expected = report.remaining
    assert done == ids


@pytest.mark.checklist(19)
def test_many_are_cancelled_each_in_its_way(dispatcher: Dispatcher) -> None:
    """What waits is cancelled at once, what runs is asked; who was asked before is not counted again."""
    start(dispatcher)
    running, waiting = dispatcher.submit(spec()).id, ""
    claim(dispatcher)
    waiting = dispatcher.submit(spec()).id
    ended = dispatcher.submit(spec()).id
    dispatcher.cancel(ended)
    query = Query(sort="created_us", where={"state": tuple(JobState)})
    assert dispatcher.cancel_many(query, dry_run=True).count == 2
    report = dispatcher.cancel_many(query, expected=2, reason="wrong preset")
    assert {job.id: job.cancel_reason for job in report.done} == dict.fromkeys(
        [running, waiting], "wrong preset"
    )
    assert dispatcher.job(waiting).state is JobState.CANCELLED
    assert dispatcher.job(running).cancel_asked
    assert dispatcher.cancel_many(query, dry_run=True).count == 0


def test_many_are_only_ones_own(dispatcher: Dispatcher) -> None:
    """Another tenant's jobs are neither counted nor changed, whatever the query says."""
    dispatcher.submit(spec())
    other = dispatcher.acting(Context(tenant="other"))
    for where in ({}, {"tenant": ("default",)}, {"tenant": ("default", "other")}):
        query = Query(sort="created_us", where={"state": ("pending",), **where})
        assert other.cancel_many(query, dry_run=True).count == 0
        assert not list(other.export_jobs(query))


# ----- short ids


@pytest.mark.checklist(93)
def test_the_beginning_of_an_id_is_enough(make_dispatcher: MakeDispatcher) -> None:
    """Four digits or more mean the one job that begins so, with or without the prefix."""
    dispatcher = make_dispatcher(ids=Numbered())
    one, two = dispatcher.submit(spec()).id, dispatcher.submit(spec()).id
    for text in (one[:9], one[4:9], one[4:20], one):
        assert dispatcher.resolve_job_id(text) == one
    dispatcher.cancel(two)
    dispatcher.delete(two)
    assert dispatcher.resolve_job_id(two[:9]) == two, "what was deleted can be restored"
    assert dispatcher.restore(dispatcher.resolve_job_id("aaaa2")).id == two


@pytest.mark.checklist(93)
def test_an_ambiguous_beginning_is_refused_with_candidates(make_dispatcher: MakeDispatcher) -> None:
    """Up to five jobs are named; those of others are not among them, and do not make it ambiguous."""
    dispatcher = make_dispatcher(ids=Numbered())
    other = dispatcher.acting(Context(tenant="other"))
    mine = dispatcher.submit(spec()).id
    theirs = [other.submit(spec()).id for _ in range(7)]
    assert dispatcher.resolve_job_id("aaaa") == mine
    with pytest.raises(AmbiguousIdError) as refusal:
        other.resolve_job_id("aaaa")
    assert list(refusal.value.candidates) == theirs[:5]
    with pytest.raises(UnknownJobError):
        dispatcher.resolve_job_id(theirs[0][:9])


@pytest.mark.parametrize("text", ["job-zzzz", "zzzz", "0" * 25])
def test_a_beginning_of_nothing_is_unknown(dispatcher: Dispatcher, text: str) -> None:
    """Nothing begins so: there is no such job."""
    dispatcher.submit(spec())
    with pytest.raises(UnknownJobError):
        dispatcher.resolve_job_id(text)


@pytest.mark.parametrize(
    "text", ["", "job-", "abc", "job-abc", "x y z", "a\x00bc", "AAAA", "aaa%", "ilou", "a" * 26]
)
def test_what_is_no_beginning_is_left_to_the_verb(dispatcher: Dispatcher, text: str) -> None:
    """Too short, too strange or whole: it is handed on as it is, and the verb finds nothing."""
    dispatcher.submit(spec())
    assert dispatcher.resolve_job_id(text) == text


# ----- lists


@pytest.mark.checklist(45)
@pytest.mark.checklist(46)
def test_filters_narrow_a_list(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Fields join, values of one field are alternatives, since is in and until is out; by age if nothing is said."""
    start(dispatcher)
    first = dispatcher.submit(spec()).id
    claim(dispatcher)
    clock.advance(10)
    second = dispatcher.submit(spec(priority=9)).id
    clock.advance(10)
    third = dispatcher.submit(spec()).id
    created = [job_form(dispatcher.job(each))["created_at"] for each in (first, second, third)]

    def found(**fields: object) -> list[str]:
        return [job.key for job in dispatcher.jobs(filter_from_form(fields).query()).records]

    assert found() == [first, second, third]
    assert found(state="assigned") == [first]
    assert found(state=["assigned", "pending"], engine="e1") == [first]
    assert found(kind=["render"]) == []
    assert found(tenant="default") == [first, second, third]
    assert found(tenant="other") == []
    assert found(created_since=created[1]) == [second, third]
    assert found(created_until=created[1]) == [first]
    assert found(created_since=created[1], created_until=created[2]) == [second]
    dispatcher.hold(first)
    assert found(updated_since=created[2]) == [first, third]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"state": "done"}, "/state/0"),
        ({"created_since": "yesterday"}, "/created_since"),
        ({"stat": "pending"}, "/stat"),
        ({"engine": 7}, "/engine"),
        ({"deleted": "yes"}, "/deleted"),
        ([], ""),
    ],
)
def test_an_unfit_filter_is_pointed_at(fields: object, path: str) -> None:
    """A filter that cannot be understood is refused, not widened."""
    with pytest.raises(InvalidCommandError) as refusal:
        filter_from_form(fields).query()
    assert [problem.path for problem in refusal.value.problems] == [path]


@pytest.mark.parametrize("order", JOB_ORDERS)
def test_every_order_pages_through_all(dispatcher: Dispatcher, clock: ManualClock, order: str) -> None:
    """Keyset pages of any order show every job once, also while the values are equal."""
    for number in range(7):
        dispatcher.submit(spec(priority=number % 2))
        clock.advance(number % 3)
    whole = [job.key for job in dispatcher.jobs(JobFilter().query(order)).records]
    pages = [job.id for job in dispatcher.export_jobs(JobFilter().query(order, limit=2))]
    assert pages == whole
    assert len(set(whole)) == 7


@pytest.mark.checklist(38)
def test_engines_are_sorted_with_a_stable_tie_break(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """By id, host name or last sign of life, both ways; equals by id, and those without a value at the end."""
    for engine_id, host in (("c", "alpha"), ("a", "beta"), ("b", "alpha"), ("d", None)):
        facts = {} if host is None else {"hostname": host}
        dispatcher.register(engine_id, Profile(facts=facts), session="s")
        clock.advance(1)
    dispatcher.heartbeat("a", session="s")

    def ids(order: str) -> str:
        return "".join(each.engine.id for each in dispatcher.engines(order=order))

    assert ids("id") == "abcd"
    assert ids("-id") == "dcba"
    assert ids("hostname") == "bcad"
    assert ids("-hostname") == "abcd"
    assert ids("last_seen") == "cbda"
    assert ids("-last_seen") == "adbc"
    with pytest.raises(InvalidCommandError, match="/order"):
        dispatcher.engines(order="load")


@pytest.mark.checklist(91)
def test_fields_are_those_of_the_forms(dispatcher: Dispatcher) -> None:
    """Every field of a form can be asked for, in any order; what is none is refused with a hint."""
    start(dispatcher)
    form = job_form(dispatcher.submit(spec()))
    assert set(JOB_FIELDS) == set(form)
    engine = dispatcher.engine("e1")
    assert set(ENGINE_FIELDS) == set(engine_form(engine.engine, engine.pulse))
    names = checked_fields(["state", "id", "state"], JOB_FIELDS)
    assert list(only(form, names).items()) == [("state", "pending"), ("id", form["id"])]
    assert only(form, ()) == form
    with pytest.raises(InvalidCommandError, match="did you mean 'priority'"):
        checked_fields(["priorty"], JOB_FIELDS)


def test_events_are_exported_page_by_page(dispatcher: Dispatcher) -> None:
    """Every event once, in commit order, without those of others."""
    other = dispatcher.acting(Context(tenant="other"))
    for _ in range(3):
        dispatcher.submit(spec())
        other.submit(spec())
    rows = list(dispatcher.export_events(page=2))
    assert names(rows) == ["job-submitted"] * 3
    assert [(row.tx, row.n) for row in rows] == sorted((row.tx, row.n) for row in rows)
    assert names(list(dispatcher.export_events((rows[0].tx, rows[0].n), page=2))) == ["job-submitted"] * 2


# ----- retries


@pytest.mark.checklist(58)
def test_the_server_caps_attempts_and_says_so(make_dispatcher: MakeDispatcher) -> None:
    """What was asked is kept, what counts is the smaller of it and the server's cap, and the form shows both."""
    dispatcher = make_dispatcher(settings=Settings(attempts_cap=1))
    start(dispatcher)
    job = dispatcher.submit(spec_from_form({"parameters": PARAMETERS, "retry": {"max_attempts": 9}}))
    form = job_form(job, attempts_cap=dispatcher.settings.attempts_cap)
    assert (form["retry"]["max_attempts"], form["max_attempts_effective"]) == (9, 1)
    dispatcher.fail(claim(dispatcher), JobError(failure_class="engine", message="again"))
    assert dispatcher.job(job.id).state is JobState.FAILED_PERMANENTLY


@pytest.mark.checklist(33)
@pytest.mark.parametrize("retries", [-1, 100, True, "3", 1.5, None])
def test_retries_that_cannot_be_are_refused(retries: object) -> None:
    """Negative, too many, no number, and true, which Python takes for one."""
    with pytest.raises(InvalidCommandError, match="/max_retries"):
        spec_from_form({"parameters": PARAMETERS, "max_retries": retries})


@pytest.mark.checklist(33)
def test_retries_are_attempts_after_the_first(dispatcher: Dispatcher) -> None:
    """max_retries is max_attempts less one; naming both is refused; an edit takes it, too."""
    none = spec_from_form({"parameters": PARAMETERS, "max_retries": 0, "retry": {"factor": 3}})
    assert (none.retry.max_attempts, none.retry.factor) == (1, 3)
    with pytest.raises(InvalidCommandError, match="/max_retries"):
        spec_from_form({"max_retries": 1, "retry": {"max_attempts": 2}})
    job = dispatcher.submit(none)
    edited = dispatcher.update(job.id, edit_from_form({"max_retries": 4.0}))
    assert (edited.spec.retry.max_attempts, edited.spec.retry.factor) == (5, 3)
    with pytest.raises(InvalidCommandError, match="/retry"):
        spec_from_form({"max_retries": 1, "retry": 7})


@pytest.mark.parametrize("verb", ["requeue", "cancel"])
def test_a_repeat_under_the_same_key_is_answered_as_the_first(dispatcher: Dispatcher, verb: str) -> None:
    """Whoever did not hear the answer asks again: the same report, nothing done twice, whatever happened since."""

    def many(acting: Dispatcher, expected: int) -> BulkReport:
        if verb == "requeue":
            return acting.requeue_many(FAILED, expected=expected, limit=2)
        waiting = Query(sort="created_us", where={"state": ("pending",)})
        return acting.cancel_many(waiting, expected=expected, limit=2, reason="r")

    if verb == "requeue":
        fail_for_good(dispatcher, 3)
    else:
        dispatcher.submit_many([spec()] * 3)
    acting = dispatcher.acting(Context(receipt_key="k"))
    first = many(acting, 3)
    rows = len(dispatcher.events())
    assert (len(first.done), first.remaining) == (2, 1)
    assert many(acting, 3) == first
    assert len(dispatcher.events()) == rows
    with pytest.raises(KeyReusedError):
        many(acting, 1)
    with pytest.raises(CountChangedError):
        many(dispatcher.acting(Context(receipt_key="other")), 3)


def test_a_repeat_does_what_a_failing_store_left_undone(clock: ManualClock) -> None:
    """The jobs are settled first: a repeat goes on with those, not with others that fit by now."""
    store = FaultyStorage(MemoryStorage(clock))
    with Dispatcher(store, settings=Settings(batch_commands_max=2)) as dispatcher:
        jobs = dispatcher.submit_many([spec()] * 3)
        acting = dispatcher.acting(Context(receipt_key="k"))
        waiting = Query(sort="created_us", where={"state": ("pending",)})

        def count_down(left: int) -> None:
            if left:
                store.meanwhile = lambda: count_down(left - 1)
            else:
                store.fault = CommitFault.BEFORE

        store.meanwhile = lambda: count_down(2)  # the plan, two jobs, and then
        with pytest.raises(StorageError):
            acting.cancel_many(waiting, expected=3)
        states = [dispatcher.job(job.id).state for job in jobs]
        assert states == [JobState.CANCELLED, JobState.CANCELLED, JobState.PENDING]
        late = dispatcher.submit(spec())
        report = acting.cancel_many(waiting, expected=3)
        assert [job.id for job in report.done] == [job.id for job in jobs]
        assert {dispatcher.job(job.id).state for job in jobs} == {JobState.CANCELLED}
        assert dispatcher.job(late.id).state is JobState.PENDING
