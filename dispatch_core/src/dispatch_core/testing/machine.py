"""A fleet as a state machine: real dispatchers on a real store, under faults, checked after every step.

Subclass it, override what makes it yours (see ``FleetMachine``), and run its ``TestCase``. Time is a manual
integer clock; moving it and running maintenance are separate rules, so that late reports are met on
deadlines to the microsecond. Storage faults, restarts and interleaved servers are rules like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attrs import define
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import SearchStrategy

from dispatch_core.kernel.scheduling.policy import Policy
from dispatch_core.kernel.scheduling.rules import DEFAULT_RULES, Rule
from dispatch_core.ports.storage import Query, Storage
from dispatch_core.shell.dispatcher import Dispatcher
from dispatch_core.shell.settings import Settings
from dispatch_core.storage.memory import MemoryStorage
from dispatch_core.testing import strategies as some
from dispatch_core.testing.checkers import check_grant, check_limits, check_store
from dispatch_core.testing.faults import CommitFault, FaultyStorage
from dispatch_core.vocabulary.attempts import Attempt, Lease, LeaseStatus, Progress
from dispatch_core.vocabulary.clock import Clock, ManualClock
from dispatch_core.vocabulary.commands import Claim, Edit, HeldLease, Renew
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.engines import Profile
from dispatch_core.vocabulary.errors import (
    CommandRejectedError,
    InvalidCommandError,
    StorageUnavailableError,
)
from dispatch_core.vocabulary.ids import SeededIds
from dispatch_core.vocabulary.jobs import Job, JobError, JobSpec, JobState, LadderStep
from dispatch_core.vocabulary.kinds import TRANSCODE, JobKind
from dispatch_core.vocabulary.limits import LimitSpec

T = TypeVar("T")
DRAIN_ROUNDS_MAX = 400
SPANS_US = (0, 1, 999_999, 5_000_000, 15_000_000, 29_999_999, 30_000_000, 60_000_000, 600_000_000)


@define
class EngineUnderTest:
    """An engine as the test plays it: its present session and every lease it was ever given."""

    id: str
    session: str
    profile: Profile
    starts: int = 1


def _jobs() -> SearchStrategy[JobSpec]:
    return st.runner().flatmap(lambda machine: machine.jobs_drawn)


def _engines() -> SearchStrategy[Profile]:
    return st.runner().flatmap(lambda machine: machine.engines_drawn)


class FleetMachine(RuleBasedStateMachine):
    """Submit, claim, report, crash, restart, race, and let time pass, in any order.

    To make it yours, set ``kinds``, ``rules_in_use``, ``policy``, ``settings_in_use`` and ``jobs_max``; override
    ``job_specs`` and ``profiles`` (what is drawn), ``capable`` (who can run all of it), ``judge_grant`` (what every
    grant must keep), ``open_storage`` and ``reopen_storage``; and add rules and invariants. They may use ``servers``
    (dispatchers), ``clock``, ``storage``, ``engines``, ``jobs`` (ids), ``leases`` (all ever granted), ``stored``,
    ``call`` and ``claim_as``.
    """

    kinds: Sequence[JobKind] = (TRANSCODE,)
    rules_in_use: Sequence[Rule] = DEFAULT_RULES
    policy: Policy | None = None
    settings_in_use = Settings()
    jobs_max = 12

    def job_specs(self) -> SearchStrategy[JobSpec]:
        """The jobs that are submitted: by default of every kind, with what is derived from its shape."""
        return st.one_of([some.job_specs(kind=kind) for kind in self.kinds])

    def profiles(self) -> SearchStrategy[Profile]:
        """The engines that start: by default each for one kind, with what is derived from its facts."""
        return st.one_of([some.profiles(kind=kind) for kind in self.kinds])

    def capable(self) -> Profile:
        """An engine that can run every job drawn: at the end it joins, and what was accepted must end."""
        facts = {name: fact for kind in self.kinds for name, fact in some.capable(kind=kind).facts.items()}
        return Profile(kinds=tuple(kind.name for kind in self.kinds), slots=50, facts=facts)

    def judge_grant(self, lease: Lease, profile: Profile) -> None:
        """What every grant must keep, judged by other means than those that decided. Raises InvariantError."""
        check_grant(lease, profile)

    def open_storage(self, clock: Clock) -> Storage:
        """The store under test; called once per example."""
        return MemoryStorage(clock)

    def reopen_storage(self, storage: Storage) -> Storage:
        """The store after its server died: the same object by default; a durable store opens its file anew."""
        return storage

    def __init__(self) -> None:
        super().__init__()
        self.jobs_drawn = self.job_specs()
        self.engines_drawn = self.profiles()
        self.clock = ManualClock()
        self.storage = self.open_storage(self.clock)
        self.ids = SeededIds()
        self.doors = [FaultyStorage(self.storage) for _ in range(2 if self.storage.traits.shared else 1)]
        self.servers = [self.open_server(door) for door in self.doors]
        self.engines: dict[str, EngineUnderTest] = {}
        self.jobs: list[str] = []
        self.leases: list[Lease] = []
        self.tokens: set[tuple[str, str]] = set()
        self.keys = 0

    def open_server(self, door: FaultyStorage) -> Dispatcher:
        """A dispatcher on the store; override it for what else yours has."""
        return Dispatcher(
            door,
            settings=self.settings_in_use,
            kinds=self.kinds,
            rules=self.rules_in_use,
            policy=self.policy,
            ids=self.ids,
        )

    # ----- what everybody does

    def call(self, server: int, act: Callable[[Dispatcher], T]) -> T | None:
        """One command in its own name and key; after a storage error it is repeated, as a client would."""
        self.keys += 1
        context = Context(actor="test", receipt_key=f"key-{self.keys}")
        for _ in range(2):
            try:
                return act(self.servers[server % len(self.servers)].acting(context))
            except StorageUnavailableError:
                continue
            except (CommandRejectedError, InvalidCommandError):
                return None
        return None

    def stored(self, job_id: str) -> Job:
        """A job as it stands in the store."""
        return self.servers[0].job(job_id)

    @initialize(profile=_engines())
    def first_engine(self, profile: Profile) -> None:
        """A fleet begins with one engine."""
        self._start("engine-0", profile)

    def _start(self, engine_id: str, profile: Profile) -> None:
        known = self.engines.get(engine_id)
        starts = known.starts + 1 if known else 1
        engine = EngineUnderTest(engine_id, f"{engine_id}-start-{starts}", profile, starts)
        self.engines[engine_id] = engine
        self.call(0, lambda server: server.register(engine_id, profile, session=engine.session))

    # ----- people

    @precondition(lambda self: len(self.jobs) < self.jobs_max)
    @rule(server=st.integers(0, 1), specs=st.lists(_jobs(), min_size=1, max_size=3))
    def submit(self, server: int, specs: list[JobSpec]) -> None:
        """What is answered is accepted, in order."""
        jobs = self.call(server, lambda each: each.submit_many(specs)) or []
        assert len(jobs) == len(specs)
        self.jobs += [job.id for job in jobs]

    @precondition(lambda self: self.jobs)
    @rule(server=st.integers(0, 1), data=st.data())
    def control(self, server: int, data: st.DataObject) -> None:
        """People cancel, hold, release, pin, edit, requeue, delete and restore whatever they see."""
        job_id = data.draw(st.sampled_from(self.jobs))
        acts: dict[str, Callable[[Dispatcher], object]] = {
            "cancel": lambda each: each.cancel(job_id, reason="test"),
            "hold": lambda each: each.hold(job_id),
            "release": lambda each: each.release(job_id),
            "requeue": lambda each: each.requeue(job_id),
            "delete": lambda each: each.delete(job_id),
            "restore": lambda each: each.restore(job_id),
            "pin": lambda each: each.assign(job_id, "engine-0", until_us=self.clock.now_us() + 7_000_000),
            "unpin": lambda each: each.assign(job_id, None),
            "edit": lambda each: each.update(job_id, Edit(priority=5)),
            "rework": lambda each: each.update(job_id, Edit(requirements=())),
            "ladder": lambda each: each.update(
                job_id, Edit(ladder=(LadderStep(after_s=5, requirements=()),))
            ),
            "later": lambda each: each.update(job_id, Edit(not_before_us=self.clock.now_us() + 9_000_000)),
        }
        self.call(server, acts[data.draw(st.sampled_from(sorted(acts)))])

    # ----- engines

    @rule(number=st.integers(0, 3), profile=_engines())
    def start_engine(self, number: int, profile: Profile) -> None:
        """An engine starts, or restarts under the same name."""
        self._start(f"engine-{number}", profile)

    @rule(server=st.integers(0, 1), data=st.data(), limit=st.integers(1, 3))
    def claim(self, server: int, data: st.DataObject, limit: int) -> None:
        """What is granted was claimable, fits the engine, comes first, and its token is new."""
        engine = data.draw(st.sampled_from(sorted(self.engines.values(), key=lambda each: each.id)))
        self.claim_as(server, engine, limit)

    def claim_as(self, server: int, engine: EngineUnderTest, limit: int) -> None:
        """An engine asks for work; what it is granted is judged and joins ``leases``."""
        leases = (
            self.call(server, lambda each: each.claim(engine.id, session=engine.session, limit=limit)) or []
        )
        self._granted(leases, engine)

    @precondition(lambda self: self.leases)
    @rule(server=st.integers(0, 1), data=st.data(), share=st.integers(1, 3))
    def signs_of_life_and_a_claim(self, server: int, data: st.DataObject, share: int) -> None:
        """What a server reads for a report tells it of a grant elsewhere, also for a claim in the same batch."""
        engine = data.draw(st.sampled_from(sorted(self.engines.values(), key=lambda each: each.id)))
        signs = [
            Renew(job_id=each.job.id, token=each.token, engine_id=each.engine_id)
            for each in self.leases[-share:]
        ]
        claim = Claim(engine_id=engine.id, session=engine.session)
        answers = self.call(server, lambda each: each.execute_many([*signs, claim]))
        if answers and isinstance(answers[-1], list):
            self._granted(answers[-1], engine)

    def _granted(self, leases: Sequence[Lease], engine: EngineUnderTest) -> None:
        for lease in leases:
            self.judge_grant(lease, engine.profile)
            assert (lease.job.id, lease.token) not in self.tokens, "a token was issued twice"
            self.tokens.add((lease.job.id, lease.token))
            check_limits(lease, self.storage)
        self.leases += leases

    @precondition(lambda self: self.leases)
    @rule(server=st.integers(0, 1), data=st.data())
    def complete(self, server: int, data: st.DataObject) -> None:
        """A completion counts if and only if nobody else was granted the job since."""
        lease = data.draw(st.sampled_from(self.leases))
        self._report(server, lease, "complete", lambda each: each.complete(lease, {"ok": True}))

    @precondition(lambda self: self.leases)
    @rule(server=st.integers(0, 1), data=st.data(), error=some.job_errors())
    def fail(self, server: int, data: st.DataObject, error: JobError) -> None:
        """A failure counts under the same condition; its text is never refused."""
        lease = data.draw(st.sampled_from(self.leases))
        self._report(server, lease, "fail", lambda each: each.fail(lease, error))

    @precondition(lambda self: self.leases)
    @rule(server=st.integers(0, 1), data=st.data())
    def give_back(self, server: int, data: st.DataObject) -> None:
        """Giving back counts under the same condition."""
        lease = data.draw(st.sampled_from(self.leases))
        self._report(server, lease, "give-back", lambda each: each.give_back(lease))

    def _report(self, server: int, lease: Lease, verb: str, act: Callable[[Dispatcher], Attempt]) -> None:
        job = self.stored(lease.job.id)
        reported = self.servers[0].attempts(job.id)[lease.attempt - 1].reported
        counts = job.live_attempt == lease.attempt or reported == verb
        answer = self.call(server, act)
        assert (answer is not None) == counts, (
            f"{verb} of attempt {lease.attempt} while live is {job.live_attempt}"
        )
        if answer is not None:
            assert self.servers[0].acting(Context()).attempts(job.id)[lease.attempt - 1] == answer
            assert act(self.servers[0]) == answer, "a repeat gets the first answer"

    @precondition(lambda self: self.leases)
    @rule(server=st.integers(0, 1), data=st.data(), progress=some.progresses())
    def progress(self, server: int, data: st.DataObject, progress: Progress) -> None:
        """Progress renews the live attempt's lease and no other."""
        lease = data.draw(st.sampled_from(self.leases))
        live = self.stored(lease.job.id).live_attempt == lease.attempt
        answer: LeaseStatus | None = self.call(server, lambda each: each.progress(lease, progress))
        assert (answer is not None) == live
        if answer is not None:
            assert answer.deadline_us >= self.clock.now_us() or not self.storage.traits.durable

    @rule(server=st.integers(0, 1), data=st.data(), share=st.integers(0, 3))
    def heartbeat(self, server: int, data: st.DataObject, share: int) -> None:
        """An engine hears of every lease it has: those it named, and those it did not."""
        engine = data.draw(st.sampled_from(sorted(self.engines.values(), key=lambda each: each.id)))
        mine = [lease for lease in self.leases if lease.engine_id == engine.id][-share:] if share else []
        held = list(dict.fromkeys(HeldLease(lease.job.id, lease.token) for lease in mine))
        answer = self.call(
            server, lambda each: each.heartbeat(engine.id, session=engine.session, leases=held)
        )
        if answer is None:
            return
        for status in answer.leases:
            live = self._live_token(status.job_id)
            assert status.lost == (status.token != live)
        named = {(each.job_id, each.token) for each in held}
        assert not named & {(each.job_id, each.token) for each in answer.unnamed}

    def _live_token(self, job_id: str) -> str | None:
        job = self.stored(job_id)
        return f"{self.storage.incarnation}.{job.live_attempt}" if job.live_attempt is not None else None

    @rule(
        server=st.integers(0, 1),
        data=st.data(),
        act=st.sampled_from(("drain", "cordon", "resume", "deregister")),
    )
    def operate(self, server: int, data: st.DataObject, act: str) -> None:
        """Operators take engines out and put them back."""
        engine_id = data.draw(st.sampled_from(sorted(self.engines)))
        self.call(server, lambda each: getattr(each, act)(engine_id))

    @rule(server=st.integers(0, 1), key=st.sampled_from(some.LIMIT_KEYS), spec=st.none() | some.limit_specs())
    def limit(self, server: int, key: str, spec: LimitSpec | None) -> None:
        """Operators set limits, and remove them."""
        if spec is None:
            self.call(server, lambda each: each.limits.remove(key))
        else:
            self.call(server, lambda each: each.limits.set(key, spec))

    # ----- time and faults

    @rule(span_us=st.sampled_from(SPANS_US))
    def time_passes(self, span_us: int) -> None:
        """Time moves, and nothing else."""
        self.clock.advance_us(span_us)

    @rule(seconds=st.sampled_from((-3_600, -3, 3, 3_600)))
    def clock_jumps(self, seconds: int) -> None:
        """Somebody sets the wall clock."""
        self.clock.jump(seconds)

    @rule(server=st.integers(0, 1))
    def tick(self, server: int) -> None:
        """Maintenance runs, on any server."""
        try:
            self.servers[server % len(self.servers)].tick()
        except StorageUnavailableError:
            return

    @rule(server=st.integers(0, 1), fault=st.sampled_from(CommitFault))
    def commit_will_fail(self, server: int, fault: CommitFault) -> None:
        """The next commit fails before or after it took effect."""
        self.doors[server % len(self.doors)].fault = fault

    @rule(server=st.integers(0, 1))
    def server_restarts(self, server: int) -> None:
        """A server dies and another starts on the same store; nothing in memory survives."""
        index = server % len(self.servers)
        self.storage = self.reopen_storage(self.storage)
        for door in self.doors:
            door.inner = self.storage
        self.servers[index] = self.open_server(self.doors[index])

    @precondition(lambda self: len(self.servers) > 1 and len(self.engines) > 1)
    @rule(data=st.data(), first=st.integers(0, 1))
    def claims_race(self, data: st.DataObject, first: int) -> None:
        """Two servers read the same rows and both want to commit a claim; between them a tick may run."""
        one, two = data.draw(st.permutations(sorted(self.engines)))[:2]
        other = self.servers[1 - first]

        def meanwhile() -> None:
            if data.draw(st.booleans()):
                other.tick()
            engine = self.engines[two]
            self.claim_as(1 - first, engine, 2)

        self.doors[first].meanwhile = meanwhile
        self.claim_as(first, self.engines[one], 2)
        self.doors[first].meanwhile = None

    @precondition(lambda self: self.leases and len(self.servers) > 1)
    @rule(data=st.data(), first=st.integers(0, 1))
    def report_races_tick(self, data: st.DataObject, first: int) -> None:
        """A report and another server's maintenance meet between read and write."""
        lease = data.draw(st.sampled_from(self.leases))
        self.doors[first].meanwhile = lambda: self.tick(1 - first)
        self.call(first, lambda each: each.renew(lease))
        self.doors[first].meanwhile = None

    # ----- what must hold

    @invariant()
    def laws_hold(self) -> None:
        """Every law, after every step, from the store alone."""
        check_store(self.storage, self.settings_in_use.give_backs_max, accepted=set(self.jobs))

    def teardown(self) -> None:
        """Faults end; a capable fleet runs on; everything that was accepted ends."""
        for door in self.doors:
            door.fault = door.meanwhile = None
        self._drain()
        for server in self.servers:
            server.close()
        self.storage.close()

    def _drain(self) -> None:
        server = self.servers[0]
        for key in some.LIMIT_KEYS:
            self.call(0, lambda each, key=key: each.limits.remove(key))  # type: ignore[misc]  # bound now
        for job_id in self.jobs:
            self.call(0, lambda each, job_id=job_id: each.release(job_id))  # type: ignore[misc]  # bound now
            self.call(0, lambda each, job_id=job_id: each.assign(job_id, None))  # type: ignore[misc]  # bound now
            now = Edit(not_before_us=None)  # a wall-clock time the clock may have jumped far away from
            self.call(0, lambda each, job_id=job_id, now=now: each.update(job_id, now))  # type: ignore[misc]  # bound now
        server.register("healer", self.capable(), session="last")
        server.resume("healer")
        for _ in range(DRAIN_ROUNDS_MAX):
            if not self._unfinished(server):
                return
            self.clock.advance(10)
            server.tick()
            for lease in server.claim("healer", session="last", limit=50):
                server.complete(lease)
        raise AssertionError(f"never finished: {[(job.id, job.state) for job in self._unfinished(server)]}")

    def _unfinished(self, server: Dispatcher) -> list[Any]:
        states = tuple(state.value for state in JobState if not state.terminal)
        query = Query(where={"state": states}, sort="created_us", limit=1_000)
        return list(server.jobs(query).records)
