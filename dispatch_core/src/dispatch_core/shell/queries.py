"""Questions answered from a snapshot. None of them changes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
from attrs import frozen

from dispatch_core.kernel.estimates import Observed, Timed, observed
from dispatch_core.kernel.permits import tenant_for_keys
from dispatch_core.kernel.scheduling.rates import Rate
from dispatch_core.ports.storage import QUERY_FIELDS, Cursor, Page, Query, Recorded, Tally, Transaction
from dispatch_core.shell.counting import ACCEPTED, PURGED
from dispatch_core.shell.fleetview import all_engines
from dispatch_core.shell.house import House
from dispatch_core.shell.windowview import concerning, windows_of
from dispatch_core.vocabulary.attempts import Attempt, Outcome
from dispatch_core.vocabulary.bounds import problems_of, step
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.denials import OPERATORS_TRAIL
from dispatch_core.vocabulary.engines import Engine, EnginePulse, Seen, WantedState
from dispatch_core.vocabulary.errors import (
    AmbiguousIdError,
    FieldProblem,
    InvalidCommandError,
    UnknownEngineError,
    UnknownJobError,
)
from dispatch_core.vocabulary.jobs import Job, JobState
from dispatch_core.vocabulary.keys import Key
from dispatch_core.vocabulary.records import Record, RecordType, Ref
from dispatch_core.vocabulary.windows import Window

KEYS_SHOWN_MAX = 10_000
OBSERVED_MAX = 1_000
"""Attempts of an engine that its performance is told by, the last ones."""


@frozen(kw_only=True)
class EngineStatus:
    """An engine as operators see it."""

    engine: Engine
    pulse: EnginePulse | None
    attempts: tuple[Attempt, ...]
    windows: tuple[Window, ...] = ()


_STATS_ROUNDS = 3


@frozen(kw_only=True)
class Stats:
    """Counts. The identity: accepted = jobs in every state (soft-deleted included) + purged."""

    jobs: Mapping[str, int]
    engines: Mapping[str, int]
    accepted: int
    purged: int
    wanted: Mapping[str, int]
    """Engines that have not left, by what is wanted of them."""

    @property
    def identity_holds(self) -> bool:
        """Whether nothing that was accepted is missing."""
        return self.accepted == sum(self.jobs.values()) + self.purged


def job(snapshot: Transaction, house: House, context: Context, job_id: str) -> Job:
    """One job. Raises UnknownJobError."""
    found = snapshot.load([(RecordType.JOB, job_id)]).get((RecordType.JOB, job_id))
    if not isinstance(found, Job) or found.tenant != context.tenant:
        raise UnknownJobError(f"there is no job {job_id}")
    return found


def jobs(snapshot: Transaction, house: House, context: Context, query: Query) -> Page:
    """A page of the tenant's jobs."""
    if problems := [*problems_of(query), *_strange_names(query)]:
        raise InvalidCommandError(problems)
    asked = query.where.get("tenant", (context.tenant,))
    mine = (context.tenant,) if context.tenant in asked else ()  # others' jobs are not there to be found
    where = {"deleted": ("no",), **query.where, "tenant": mine}
    return snapshot.find(RecordType.JOB, attrs.evolve(query, where=where))


def resolve(snapshot: Transaction, house: House, context: Context, text: str, beginning: str) -> str:
    """The id of the tenant's one job that a text means. Raises AmbiguousIdError, UnknownJobError."""
    known = snapshot.load([(RecordType.JOB, text)]).get((RecordType.JOB, text))
    if isinstance(known, Job) and known.tenant == context.tenant:
        return text
    query = Query(prefix=beginning, where={"tenant": (context.tenant,)}, sort="created_us")
    found = [each.key for each in snapshot.find(RecordType.JOB, attrs.evolve(query, limit=6)).records]
    if len(found) > 1:
        raise AmbiguousIdError(text, found[:5])
    if not found:
        raise UnknownJobError(f"there is no job {text}")
    return found[0]


def _strange_names(query: Query) -> Iterator[FieldProblem]:
    known = QUERY_FIELDS[RecordType.JOB]
    named = [("/sort", query.sort)]
    named += [
        (f"/{part}/{step(name)}", name)
        for part in ("where", "since", "until")
        for name in getattr(query, part)
    ]
    for path, name in named:
        if name not in known:
            yield FieldProblem(path, f"is not one of {', '.join(known)}")


def attempts(snapshot: Transaction, house: House, context: Context, job_id: str) -> list[Attempt]:
    """Every attempt of a job, first to last."""
    last = job(snapshot, house, context, job_id).last_attempt
    found = snapshot.load([(RecordType.ATTEMPT, f"{job_id}/{number}") for number in range(1, last + 1)])
    return sorted(
        (each for each in found.values() if isinstance(each, Attempt)), key=lambda each: each.number
    )


def engine(snapshot: Transaction, house: House, context: Context, engine_id: str) -> EngineStatus:
    """One engine. Raises UnknownEngineError."""
    found = snapshot.load([(RecordType.ENGINE, engine_id)]).get((RecordType.ENGINE, engine_id))
    if not isinstance(found, Engine) or found.tenant != context.tenant:
        raise UnknownEngineError(f"there is no engine {engine_id}")
    return statuses(snapshot, [found])[0]


ENGINE_SORTS: Mapping[str, Callable[[EngineStatus], str | int | None]] = {
    "id": lambda status: status.engine.id,
    "hostname": lambda status: str(status.engine.profile.facts.get("hostname") or "") or None,
    "last_seen": lambda status: None if status.pulse is None else status.pulse.seen_us,
}
ENGINE_ORDERS = (*ENGINE_SORTS, *(f"-{name}" for name in ENGINE_SORTS))
"""How engines may be sorted; a dash turns the order round."""


def engines(
    snapshot: Transaction, house: House, context: Context, left: bool, order: str = "id"
) -> list[EngineStatus]:
    """The tenant's engines. Those equal in an order come by id; those it says nothing of come last."""
    if order not in ENGINE_ORDERS:
        raise InvalidCommandError([FieldProblem("/order", f"is not one of {', '.join(ENGINE_ORDERS)}")])
    mine = [each for each in all_engines(snapshot) if each.tenant == context.tenant]
    shown = [each for each in mine if left or each.seen is not Seen.LEFT]
    found = statuses(snapshot, sorted(shown, key=lambda each: each.id))
    value = ENGINE_SORTS[order.removeprefix("-")]
    known = [each for each in found if value(each) is not None]
    unknown = [each for each in found if value(each) is None]
    return sorted(known, key=value, reverse=order.startswith("-")) + unknown  # type: ignore[arg-type]  # no None is left


def statuses(snapshot: Transaction, found: Sequence[Engine]) -> list[EngineStatus]:
    """Engines with their pulses, open attempts and maintenance windows, in a few reads."""
    pulses = snapshot.load([(RecordType.PULSE, each.id) for each in found])
    opened = snapshot.open_attempts([each.id for each in found])
    now = snapshot.now()
    planned = {tenant: windows_of(snapshot, tenant) for tenant in {each.tenant for each in found}}
    return [
        EngineStatus(
            engine=each,
            pulse=pulse
            if isinstance(pulse := pulses.get((RecordType.PULSE, each.id)), EnginePulse)
            else None,
            attempts=tuple(opened.get(each.id, ())),
            windows=tuple(concerning(planned[each.tenant], each.id, now)),
        )
        for each in found
    ]


def performance(snapshot: Transaction, house: House, context: Context, engine_id: str) -> list[Observed]:
    """How fast an engine completed its last jobs, by task class: from grant to report. Raises UnknownEngineError."""
    engine(snapshot, house, context, engine_id)
    query = Query(where={"engine_id": (engine_id,)}, sort="granted_us", descending=True, limit=OBSERVED_MAX)
    attempts = [
        each for each in snapshot.find(RecordType.ATTEMPT, query).records if isinstance(each, Attempt)
    ]
    done = [each for each in attempts if each.outcome is Outcome.COMPLETED]
    jobs = snapshot.load(list({(RecordType.JOB, each.job_id) for each in done}))
    return observed(_timed(done, jobs, house))


def _timed(done: Sequence[Attempt], jobs: Mapping[Ref, Record], house: House) -> Iterator[Timed]:
    for attempt in done:
        job = jobs.get((RecordType.JOB, attempt.job_id))
        kind = house.kinds.get(job.spec.kind) if isinstance(job, Job) else None
        took_us = attempt.took_us or 0
        if isinstance(job, Job) and kind is not None and took_us > 0:
            task_class, units = kind.measure(job.spec)
            yield Timed(task_class=task_class, units=units, took_us=took_us, estimate_us=attempt.estimate_us)


def estimates(snapshot: Transaction, house: House, context: Context, engine_id: str | None) -> list[Rate]:
    """How long a unit of work should take on the tenant's engines, or on one. Raises UnknownEngineError."""
    if engine_id is not None:
        engine(snapshot, house, context, engine_id)
    everyone = all_engines(snapshot)
    rates = house.fleet.rates(snapshot, everyone)
    asked = [
        each
        for each in everyone
        if each.tenant == context.tenant
        and (each.id == engine_id or (engine_id is None and each.seen is not Seen.LEFT))
    ]
    return [rate for each in sorted(asked, key=lambda each: each.id) for rate in rates.known(each)]


def keys(
    snapshot: Transaction, house: House, context: Context, tenant: str | None, revoked: bool
) -> list[Key]:
    """Keys, oldest first: the tenant's own, or for an operator those of all."""
    everywhere = tenant is None and context.operates
    where = {} if everywhere else {"tenant": (tenant_for_keys(context, tenant),)}
    where |= {} if revoked else {"revoked": ("no",)}
    page = snapshot.find(RecordType.KEY, Query(where=where, sort="created_us", limit=KEYS_SHOWN_MAX))
    return [each for each in page.records if isinstance(each, Key)]


def history(
    snapshot: Transaction, house: House, context: Context, job_id: str, after: Cursor | None, limit: int
) -> list[Recorded]:
    """What became of a job."""
    job(snapshot, house, context, job_id)
    return list(snapshot.history(of=(RecordType.JOB, job_id), after=after, limit=limit))


def events(
    snapshot: Transaction, house: House, context: Context, after: Cursor | None, limit: int
) -> list[Recorded]:
    """The tenant's events behind a cursor, in commit order; for an operator the trail of all denied attempts, too."""
    shown = {context.tenant, OPERATORS_TRAIL} if context.operates else {context.tenant}
    found: list[Recorded] = []
    while len(found) < limit:  # others' events must not stop a reader: the end of the store does
        rows = snapshot.history(after=after, limit=limit)
        found += [row for row in rows if row.tenant in shown]
        if len(rows) < limit:
            break
        after = (rows[-1].tx, rows[-1].n)
    return found[:limit]


def probe(snapshot: Transaction, house: House, context: Context) -> None:
    """Read something, whatever it is."""
    snapshot.load([(RecordType.ENGINE, "storage-probe")])


def stats(snapshot: Transaction, house: House, context: Context) -> Stats:
    """Jobs by state counted from the rows, held against the counters of what was accepted and purged."""
    found = _stats(snapshot, context)
    for _ in range(_STATS_ROUNDS):  # a store in memory may commit between two calls of one look
        if not found.identity_holds:
            found = _stats(snapshot, context)
    return found


def _stats(snapshot: Transaction, context: Context) -> Stats:
    counted, rows = (
        {cell.keys[1]: cell.count for cell in snapshot.tally(what) if cell.keys[0] == context.tenant}
        for what in (Tally.COUNTERS, Tally.STATES)
    )
    mine = [each for each in all_engines(snapshot) if each.tenant == context.tenant]
    return Stats(
        jobs={state.value: rows.get(state.value, 0) for state in JobState},
        engines={seen.value: sum(each.seen is seen for each in mine) for seen in Seen},
        accepted=counted.get(ACCEPTED, 0),
        purged=counted.get(PURGED, 0),
        wanted={
            state.value: sum(each.wanted.state is state and each.seen is not Seen.LEFT for each in mine)
            for state in WantedState
        },
    )
