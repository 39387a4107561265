"""The fleet as last committed: who is there, what is queued where, what runs, and how fast runs were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dispatch_core.kernel.scheduling.accounts import Accounts
from dispatch_core.kernel.scheduling.classes import Classifier, SchedulingClass
from dispatch_core.kernel.scheduling.matcher import Matcher
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.kernel.scheduling.policy import Prospects, weight_of
from dispatch_core.kernel.scheduling.rates import Rates, length_us
from dispatch_core.ports.storage import Change, Query, Tally, Transaction
from dispatch_core.vocabulary.attempts import Attempt, Outcome
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine, EnginePulse
from dispatch_core.vocabulary.jobs import Job, Ready
from dispatch_core.vocabulary.records import Record, RecordType, Ref

_PAGE = 1_000
REFRESH_US = 30 * SECOND_US
"""How far behind other servers an outlook may be."""
LEARNED_MAX = 64
"""Runs of an engine that a server learns from when it starts, the last ones."""

_Fact = tuple[Ready | None, Ready | None] | Attempt
"""A job's place before and after, or an attempt that began or ended."""


class FleetView:
    """A copy of the store's fleet, for choices only; read again after ``forget``.

    What it has learned of speeds is kept: the same runs would teach the same.
    """

    def __init__(self, matcher: Matcher, classifier: Classifier, accounts: Accounts, *, shared: bool) -> None:
        self.shared = shared
        self._matcher = matcher
        self._classifier = classifier
        self._accounts = accounts
        self._outlook: Outlook | None = None
        self._now = self._read_us = 0
        self._old = False
        self._asked: dict[str, int | None] = {}
        self._rates: Rates | None = None
        self._unfit: set[str] = set()
        self._former: Outlook | None = None
        self._due = False
        self._done: list[_Fact] = []

    def undo(self) -> None:
        """What this batch has decided is not written: everything is as it was before."""
        self._accounts.undo()
        if self._due:
            self._outlook, self._due = None, False
        done, self._done = self._done, []
        if self._outlook is not None:
            for each in reversed(done):
                _take_back(self._outlook, each)

    def forget(self) -> None:
        """Read the store again at the next question."""
        self._former, self._outlook = self._outlook or self._former, None
        self._accounts.undo()
        if self._rates is not None:
            self._rates.look_again()

    def begin(self, now: int) -> None:
        """A batch begins: what the last one did is in the store. Within a batch, nothing is read twice."""
        self._done.clear()
        self._accounts.settle()
        self._due = self._old and abs(now - self._read_us) > REFRESH_US

    def grow_old(self) -> None:
        """Read the store again if what is known is older than ``REFRESH_US``."""
        self._old = True

    def engine(self, engine_id: str) -> Engine | None:
        """The engine as last committed, if known."""
        return None if self._outlook is None else self._outlook.engine(engine_id)

    def groups_of(self, engine_id: str) -> tuple[str, ...]:
        """The groups an engine serves, as far as is known."""
        return (engine_id,) if self._outlook is None else self._outlook.groups_of(engine_id)

    def lengths(self, job: Job) -> Callable[[Engine], int | None]:
        """How long (µs) a job would take on an engine; None if the engine would leave it to a better one."""
        if self._outlook is None:
            return lambda _engine: 0  # nothing is known: let whoever waits look for itself
        return self._matcher.lengths(job, self._outlook, self._now)

    def outlook(self, transaction: Transaction) -> Outlook:
        """What is known; read from the store the first time."""
        self._now = now = transaction.now()
        if self._due:
            self._outlook, self._due = None, False
        if self._outlook is None:
            self._outlook = self.fresh_outlook(transaction)
            self._unfit = self._outlook.passed_over
            self._read_us, self._old = now, False
            done, self._done = self._done, []
            for each in done:  # the store does not know this batch yet
                self._happened(each)
        return self._outlook

    def asked(self, engine_id: str, at_us: int | None) -> None:
        """An engine asked for work; None: it may get nothing now, whatever there is."""
        self._asked[engine_id] = at_us
        if self._outlook is not None:
            self._outlook.asked(engine_id, at_us)

    def last_asked(self, engine_id: str) -> int | None:
        """When an engine last asked this server for work that it could have got."""
        return self._asked.get(engine_id)

    def copy(self, transaction: Transaction) -> Outlook:
        """What the writer knows, as an outlook of one's own: for questions asked beside it. Else what is stored."""
        live = self._outlook
        behind = self._old and abs(transaction.now() - self._read_us) > REFRESH_US
        return self.fresh_outlook(transaction) if live is None or behind else live.copy()

    def fresh_outlook(self, transaction: Transaction) -> Outlook:
        """An outlook of one's own, read from the store: for questions asked beside the writer."""
        engines = all_engines(transaction)
        rates = self.rates(transaction, engines)
        outlook = Outlook(rates, self._admits, self._unfit)
        heard = transaction.load([(RecordType.PULSE, engine.id) for engine in engines]) if self.shared else {}
        for engine in engines:
            outlook.engine_is(engine)
            pulse = heard.get((RecordType.PULSE, engine.id))
            asked_us, told_us = (
                self._asked.get(engine.id),
                pulse.asked_us if isinstance(pulse, EnginePulse) else None,
            )
            elsewhere = told_us is not None and (asked_us is None or told_us > asked_us)
            outlook.asked(engine.id, told_us if elsewhere else asked_us, hearsay=elsewhere)
        for attempts in transaction.open_attempts([engine.id for engine in engines]).values():
            for attempt in attempts:
                outlook.began(attempt)
        for cell in transaction.tally(Tally.URGENCY):
            lane, units, octave = cell.keys
            outlook.waits(lane, int(units), int(octave), cell.count, cell.total)
        return outlook

    def rates(self, transaction: Transaction, engines: Sequence[Engine]) -> Rates:
        """What was learned of speeds; the first time from what the store keeps of all ``engines``."""
        if self._rates is None:
            self._rates = learned_rates(transaction, engines, self._classifier)
        return self._rates

    def _admits(self, wanted: SchedulingClass, engine: Engine) -> bool:
        return not self._matcher.admits(wanted, engine)

    def prospects(self, transaction: Transaction, job: Job, now: int, *, fresh: bool) -> Prospects:
        """What a job may expect; ``fresh``: it was submitted just now, and its account is charged."""
        outlook = self.outlook(transaction)
        wanted, units = self._classifier.measured(job)
        rate = outlook.best_rate(wanted)
        best_us = length_us(units, wanted.nominal_us if rate is None else rate)
        push_us = 0
        if fresh and job.spec.account is not None:
            push_us = self._accounts.push(job.tenant, job.spec.account, best_us, outlook.slots, now)
        if job.pin:
            return Prospects(best_us=best_us, push_us=push_us)
        barred = (lambda group: not self._matcher.routable(job, group, outlook)) if job.failed_on else None
        routes = outlook.routes(wanted, units, weight_of(job.spec.priority), now, barred)
        return Prospects(best_us=best_us, routes=routes, push_us=push_us)

    # ----- while a batch is decided: if it is not written after all, everything is forgotten

    def moved(self, before: Ready | None, after: Ready | None) -> None:
        """A job changed its place."""
        if before is not after and before != after:
            self._happened((before, after))

    def attempted(self, attempt: Attempt) -> None:
        """A job was granted, or its run ended; or it was renewed, which is nothing new."""
        self._happened(attempt)

    def _happened(self, what: _Fact) -> None:
        if self._outlook is None or self._due:
            self._done.append(what)
            if self._outlook is not None:
                _apply(self._outlook, what)
        elif _apply(self._outlook, what):
            self._done.append(what)

    def remember(self, changes: Sequence[Change]) -> None:
        """The batch was written: take over its engines, learn from its runs."""
        self._accounts.settle()
        outlook = self._outlook or self._former  # what runs teach is not forgotten with the rest
        if outlook is None:
            return
        done: list[Attempt] = []
        for change in changes:
            after, kind = change.after, change.ref[0]
            if kind is RecordType.ENGINE and isinstance(after, Engine):
                outlook.engine_is(after)
            elif (
                kind is RecordType.ATTEMPT and isinstance(after, Attempt) and _completes(change.before, after)
            ):
                done.append(after)
        if done:
            jobs = {change.ref[1]: change.after for change in changes if change.ref[0] is RecordType.JOB}
            for attempt in done:
                self._learn(attempt, jobs.get(attempt.job_id), outlook)

    def _learn(self, attempt: Attempt, job: Record | None, outlook: Outlook) -> None:
        engine = outlook.engine(attempt.engine_id)
        if engine is not None and isinstance(job, Job):
            wanted, units = self._classifier.measured(job)
            took_us = (attempt.ended_us or 0) - attempt.granted_us
            whole = outlook.rates.learn(engine, wanted.task_class, units, took_us, wanted.nominal_us)
            outlook.learned(wanted.task_class, None if whole else engine.id)


def _apply(outlook: Outlook, what: _Fact) -> bool:
    """Tell an outlook; whether that was news."""
    if not isinstance(what, Attempt):
        outlook.moved(*what)
        return True
    running, runs = what.ended_us is None, outlook.runs(what)
    if running and not runs:
        outlook.began(what)
    elif runs and not running:
        outlook.ended(what)
    return running != runs


def _take_back(outlook: Outlook, what: _Fact) -> None:
    """The opposite of ``_apply``, of what was news."""
    if not isinstance(what, Attempt):
        before, after = what
        outlook.moved(after, before)
    elif what.ended_us is None:
        outlook.ended(what)
    else:
        outlook.began(what)


def _completes(before: Record | None, after: Attempt) -> bool:
    return after.outcome is Outcome.COMPLETED and isinstance(before, Attempt) and before.ended_us is None


def learned_rates(transaction: Transaction, engines: Sequence[Engine], classifier: Classifier) -> Rates:
    """What the last completed runs of each engine teach, in the order they were granted."""
    rates = Rates()
    known = {engine.id: engine for engine in engines}
    done = sorted(
        (attempt for engine in engines for attempt in _completed(transaction, engine)),
        key=lambda attempt: (attempt.ended_us, attempt.key),
    )
    jobs = _jobs_of(transaction, done)
    for attempt in done:
        job = jobs.get((RecordType.JOB, attempt.job_id))
        if isinstance(job, Job):
            wanted, units = classifier.measured(job)
            took_us = (attempt.ended_us or 0) - attempt.granted_us
            rates.learn(known[attempt.engine_id], wanted.task_class, units, took_us, wanted.nominal_us)
    return rates


def _completed(transaction: Transaction, engine: Engine) -> list[Attempt]:
    where = {"engine_id": (engine.id,)}
    query = Query(where=where, sort="granted_us", descending=True, limit=LEARNED_MAX)
    found = transaction.find(RecordType.ATTEMPT, query).records
    return [each for each in found if isinstance(each, Attempt) and each.outcome is Outcome.COMPLETED]


def _jobs_of(transaction: Transaction, attempts: Sequence[Attempt]) -> Mapping[Ref, Record]:
    refs = list(dict.fromkeys((RecordType.JOB, attempt.job_id) for attempt in attempts))
    return transaction.load(refs) if refs else {}


def all_engines(transaction: Transaction) -> list[Engine]:
    """Every engine record, page by page."""
    found: list[Engine] = []
    query: Query | None = Query(sort="registered_us", limit=_PAGE)
    while query is not None:
        page = transaction.find(RecordType.ENGINE, query)
        found += [record for record in page.records if isinstance(record, Engine)]
        query = Query(sort="registered_us", limit=_PAGE, after=page.next) if page.next else None
    return found
