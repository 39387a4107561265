"""The façade: one documented method per verb. Everything else in the core is behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import attrs

from dispatch_core.kernel.estimates import Observed
from dispatch_core.kernel.permits import check_permit
from dispatch_core.kernel.retention import Retention
from dispatch_core.kernel.retry import ExponentialBackoff, RetryPolicy
from dispatch_core.kernel.scheduling.explanation import ClaimExplanation, JobExplanation
from dispatch_core.kernel.scheduling.policy import Policy
from dispatch_core.kernel.scheduling.rates import Rate
from dispatch_core.kernel.scheduling.rules import DEFAULT_RULES, Rule
from dispatch_core.kernel.table import Verb
from dispatch_core.ports.observer import Observer
from dispatch_core.ports.storage import Cursor, OrderedId, Page, Query, Recorded, Storage
from dispatch_core.shell import carrying, explaining, queries, verbs
from dispatch_core.shell.bulk import BULK_MAX, Bulk, BulkReport, do_to_many
from dispatch_core.shell.committer import Committer, DirectCommitter, GroupCommitter
from dispatch_core.shell.denials import Denials
from dispatch_core.shell.exporting import every_event, every_job
from dispatch_core.shell.house import House
from dispatch_core.shell.maintenance import Maintenance, TickReport
from dispatch_core.shell.purging import PurgeReport
from dispatch_core.shell.queries import EngineStatus, Stats
from dispatch_core.shell.rekeying import REKEY_MAX, RekeyReport, rekey
from dispatch_core.shell.settings import Settings
from dispatch_core.vocabulary import commands as c
from dispatch_core.vocabulary.attempts import Attempt, Lease, LeaseStatus, Progress
from dispatch_core.vocabulary.bounds import problems_as
from dispatch_core.vocabulary.context import LOCAL, Context
from dispatch_core.vocabulary.engines import Benchmark, Engine, HeartbeatAnswer, Profile, WantedState
from dispatch_core.vocabulary.errors import InvalidCommandError
from dispatch_core.vocabulary.ids import IdSource, RandomIds, RandomSecrets, SecretSource, beginning_of_job_id
from dispatch_core.vocabulary.jobs import Job, JobError, JobSpec
from dispatch_core.vocabulary.keys import Key, digest_of, with_text
from dispatch_core.vocabulary.kinds import TRANSCODE, JobKind
from dispatch_core.vocabulary.scopes import Scope

T = TypeVar("T")


class Dispatcher:
    """Gives every job to the engine that should run it, over any store.

    Without ``group_commit`` every call is one transaction in the caller's thread and no thread is started.
    With it, one writer thread commits all that is queued together: faster for many threads, and claims may
    wait. Thread-safe either way. A ``committer`` of one's own takes their place. Verbs raise InvalidCommandError
    for unfit input, a CommandRejectedError if the present state refuses, a StorageError if the store fails.
    """

    def __init__(  # noqa: PLR0913  # one per part that may be replaced
        self,
        storage: Storage,
        *,
        settings: Settings | None = None,
        kinds: Sequence[JobKind] = (TRANSCODE,),
        rules: Sequence[Rule] = DEFAULT_RULES,
        policy: Policy | None = None,
        retry: RetryPolicy | None = None,
        ids: IdSource | None = None,
        secrets: SecretSource | None = None,
        observers: Sequence[Observer] = (),
        group_commit: bool = False,
        committer: Callable[[House], Committer] | None = None,
    ) -> None:
        settings = settings or Settings()
        self._house = House(
            storage=storage,
            settings=settings,
            kinds={kind.name: kind for kind in kinds},
            rules=tuple(rules),
            policy=policy or settings.policy,
            retry=retry or ExponentialBackoff(),
            ids=ids or RandomIds(),
            secrets=secrets or RandomSecrets(),
            observers=tuple(observers),
        )
        committer = committer or (GroupCommitter if group_commit else DirectCommitter)
        self._committer = committer(self._house)
        self._maintenance = Maintenance(self._house, self._committer)
        self._context = LOCAL

    def acting(self, context: Context) -> Self:
        """The same dispatcher, acting in somebody's name. Raises InvalidCommandError if no store could hold it."""
        if problems := problems_as(Context, context):
            raise InvalidCommandError([attrs.evolve(each, path=f"/context{each.path}") for each in problems])
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _context=context)
        return other

    @property
    def context(self) -> Context:
        """Who acts."""
        return self._context

    def close(self) -> None:
        """Refuse new commands, finish those accepted, end the writer thread. The store stays the caller's."""
        self._maintenance.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stop_waiting(self) -> None:
        """Answer waiting claims with nothing, and let none wait from now on: the first step of a drain."""
        self._committer.stop_waiting()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._house.settings

    @property
    def kinds(self) -> Mapping[str, JobKind]:
        """The kinds of jobs accepted, by name."""
        return self._house.kinds

    @property
    def storage(self) -> Storage:
        """The store underneath."""
        return self._house.storage

    @property
    def denials(self) -> Denials:
        """Where a frontend notes what it refuses; tick writes it down."""
        return self._house.denials

    def _do(self, command: c.Command) -> Any:
        return carrying.carry(self._house, self._committer, self._context, command)

    # ----- jobs

    def submit(self, spec: JobSpec) -> Job:
        """Accept one job. What is returned is durable."""
        return self.submit_many([spec])[0]

    def submit_many(self, specs: Sequence[JobSpec]) -> list[Job]:
        """Accept up to 1,000 jobs, all or nothing, in this order."""
        return list(self._do(c.Submit(specs=tuple(specs))))

    def update(self, job_id: str, edit: c.Edit, *, if_version: int | None = None) -> Job:
        """Edit a waiting job; VersionMismatchError if it is no longer at ``if_version``."""
        return cast(Job, self._do(c.Update(job_id=job_id, edit=edit, if_version=if_version)))

    def cancel(self, job_id: str, *, reason: str = "") -> Job:
        """Stop a job: at once if it waits; if it runs, ask its engine and wait for the answer or the grace."""
        return cast(Job, self._do(c.Cancel(job_id=job_id, reason=reason)))

    def hold(self, job_id: str, *, reason: str = "") -> Job:
        """Keep a job from being granted until ``release``."""
        return cast(Job, self._do(c.Hold(job_id=job_id, reason=reason)))

    def release(self, job_id: str) -> Job:
        """End a hold."""
        return cast(Job, self._do(c.Release(job_id=job_id)))

    def requeue(self, job_id: str) -> Job:
        """Open a new generation of a terminal or backing-off job; attempt numbers go on."""
        return cast(Job, self._do(c.Requeue(job_id=job_id)))

    def assign(
        self, job_id: str, engine_id: str | None, *, until_us: int | None = None, reason: str = ""
    ) -> Job:
        """Pin a job's next grant to an engine, for good or until an instant; None unpins."""
        pin = c.Assign(job_id=job_id, engine_id=engine_id, until_us=until_us, reason=reason)
        return cast(Job, self._do(pin))

    def requeue_many(
        self, query: Query, *, dry_run: bool = False, expected: int | None = None, limit: int = BULK_MAX
    ) -> BulkReport:
        """Requeue the jobs a query finds, oldest first, at most ``limit`` (≤ 1,000) a call.

        First a dry run, which counts; then with ``expected``, the count, or CountChangedError refuses it.
        To go on, put the report's ``next`` into the query's ``after`` and expect its ``remaining``.
        """
        again = Bulk(Verb.REQUEUE, lambda each: c.Requeue(job_id=each), query, expected, limit)
        return do_to_many(again, self._ask, self._committer, self._context, dry_run)

    def cancel_many(
        self,
        query: Query,
        *,
        reason: str = "",
        dry_run: bool = False,
        expected: int | None = None,
        limit: int = BULK_MAX,
    ) -> BulkReport:
        """Cancel the jobs a query finds; in steps, as ``requeue_many``."""
        cancel = Bulk(Verb.CANCEL, lambda each: c.Cancel(job_id=each, reason=reason), query, expected, limit)
        return do_to_many(cancel, self._ask, self._committer, self._context, dry_run)

    def delete(self, job_id: str) -> Job:
        """Soft-delete; a waiting job is cancelled first, a running one is refused."""
        return cast(Job, self._do(c.Delete(job_id=job_id)))

    def restore(self, job_id: str) -> Job:
        """Undo a soft delete; never queues."""
        return cast(Job, self._do(c.Restore(job_id=job_id)))

    def purge(self, retention: Retention | None = None, *, dry_run: bool = False) -> PurgeReport:
        """Remove ended jobs of all tenants that are older than ``retention`` says (else the settings); or count."""
        check_permit(self._context, "PurgeJob")
        return self._maintenance.purge(retention, self._context, dry_run=dry_run)

    def rekey(self, limit: int = REKEY_MAX, after: OrderedId | None = None) -> RekeyReport:
        """Place pending jobs of all tenants anew, oldest first: after a change of mode or fleet. Go on from ``next``."""
        check_permit(self._context, "Rekey")
        return rekey(self._house.storage, self._committer, self._context, limit, after)

    # ----- engines

    def register(self, engine_id: str, profile: Profile, *, session: str) -> Engine:
        """An engine process presents itself; a new session ends what an older one left running."""
        return cast(Engine, self._do(c.Register(engine_id=engine_id, profile=profile, session=session)))

    def heartbeat(
        self,
        engine_id: str,
        *,
        session: str,
        leases: Sequence[c.HeldLease] = (),
        disk_free_bytes: int | None = None,
        load: float | None = None,
    ) -> HeartbeatAnswer:
        """Renew the named leases; hear cancels, lost leases and the wanted state."""
        command = c.Heartbeat(
            engine_id=engine_id,
            session=session,
            leases=tuple(leases),
            disk_free_bytes=disk_free_bytes,
            load=load,
        )
        return cast(HeartbeatAnswer, self._do(command))

    def cordon(self, engine_id: str, *, reason: str = "") -> Engine:
        """No new work for this engine; what it runs goes on."""
        return self._want(engine_id, WantedState.CORDONED, reason)

    def drain(self, engine_id: str, *, reason: str = "") -> Engine:
        """No new work, and the engine is told to leave when what it runs is done."""
        return self._want(engine_id, WantedState.DRAINING, reason)

    def resume(self, engine_id: str) -> Engine:
        """Give it work again."""
        return self._want(engine_id, WantedState.ACTIVE, "")

    def _want(self, engine_id: str, state: WantedState, reason: str) -> Engine:
        return cast(Engine, self._do(c.SetWanted(engine_id=engine_id, state=state, reason=reason)))

    def deregister(self, engine_id: str) -> Engine:
        """The engine leaves; its open attempts end at once as lease end."""
        return cast(Engine, self._do(c.Deregister(engine_id=engine_id)))

    def report_benchmark(self, engine_id: str, benchmarks: Sequence[Benchmark]) -> Engine:
        """Measured speeds; cells replace those of the same task class."""
        return cast(Engine, self._do(c.ReportBenchmark(engine_id=engine_id, benchmarks=tuple(benchmarks))))

    # ----- work

    def claim(self, engine_id: str, *, session: str, limit: int = 1, wait_s: float = 0.0) -> list[Lease]:
        """Ask for up to ``limit`` jobs; with group commit, wait up to ``wait_s`` for the first."""
        return list(self._do(c.Claim(engine_id=engine_id, session=session, limit=limit, wait_s=wait_s)))

    def renew(self, lease: Lease) -> LeaseStatus:
        """Extend a lease. LeaseLostError means: stop this work."""
        return cast(LeaseStatus, self._do(c.Renew(**verbs.named(lease))))

    def progress(self, lease: Lease, progress: Progress) -> LeaseStatus:
        """Report progress, which also renews; the answer says whether to stop."""
        return cast(LeaseStatus, self._do(c.ReportProgress(**verbs.named(lease), progress=progress)))

    def complete(
        self,
        lease: Lease,
        result: Mapping[str, object] | None = None,
        *,
        usage: Mapping[str, object] | None = None,
    ) -> Attempt:
        """The work is done. A repeat gets the same answer."""
        return cast(Attempt, self._do(c.Complete(**verbs.named(lease), result=result or {}, usage=usage)))

    def fail(self, lease: Lease, error: JobError, *, usage: Mapping[str, object] | None = None) -> Attempt:
        """The attempt failed; the job backs off, or fails for good. A repeat gets the same answer."""
        return cast(Attempt, self._do(c.Fail(**verbs.named(lease), error=error, usage=usage)))

    def give_back(self, lease: Lease, *, reason: str = "") -> Attempt:
        """Return a lease undone; the attempt is not counted. Also acknowledges a cancel."""
        return cast(Attempt, self._do(c.GiveBack(**verbs.named(lease), reason=reason)))

    def execute(self, command: c.Command) -> Any:
        """Any command as a value: what frontends that parse commands use."""
        return self._do(command)

    def execute_many(self, commands: Sequence[c.Command]) -> list[Any]:
        """The answer to each, or the DispatchError that refuses it; they join one batch."""
        return carrying.carry_many(self._house, self._committer, self._context, commands)

    windows = verbs.Grouped(verbs.WindowVerbs)
    """The verbs of maintenance windows."""
    pools = verbs.Grouped(verbs.PoolVerbs)
    """The verbs of storage pools."""
    limits = verbs.Grouped(verbs.LimitVerbs)
    """The verbs of limits by key."""
    campaigns = verbs.Grouped(verbs.CampaignVerbs)
    """The verbs of campaigns."""

    # ----- keys

    def create_key(
        self,
        name: str,
        scopes: Sequence[Scope],
        *,
        tenant: str | None = None,
        engine_id: str | None = None,
        expires_us: int | None = None,
    ) -> tuple[Key, str | None]:
        """Let somebody in: the key, and the text to present, which nobody can tell again.

        ``tenant`` None is the caller's own; ``engine_id`` binds an engine's key to one engine. A repeat under the
        same receipt key has no text: rotate the key to get one.
        """
        secret = self._house.secrets.new()
        command = c.CreateKey(
            name=name,
            scopes=tuple(scopes),
            tenant=tenant,
            engine_id=engine_id,
            expires_us=expires_us,
            digest=digest_of(secret),
        )
        return with_text(self._do(command), secret)

    def rotate_key(self, key_id: str, *, overlap_s: float = 0.0) -> tuple[Key, str | None]:
        """Give a key another secret; the former one stays good for ``overlap_s``. Answers like ``create_key``."""
        secret = self._house.secrets.new()
        command = c.RotateKey(key_id=key_id, overlap_s=overlap_s, digest=digest_of(secret))
        return with_text(self._do(command), secret)

    def revoke_key(self, key_id: str) -> Key:
        """Let somebody in no longer: at once here, within a second on every other server of the store."""
        return cast(Key, self._do(c.RevokeKey(key_id=key_id)))

    def keys(self, *, tenant: str | None = None, revoked: bool = False) -> list[Key]:
        """Keys, oldest first: the tenant's own, for an operator those of all; revoked ones only if asked for."""
        return self._ask(queries.keys, tenant, revoked)

    def authenticate(self, text: str) -> Key | None:
        """The key that a caller presented, if it is good now."""
        return self._house.keyring.good(text)

    def has_keys(self) -> bool:
        """Whether the store has ever had a key: then a frontend lets nobody in without one."""
        return self._house.keyring.locked()

    # ----- time

    def tick(self) -> TickReport:
        """One bounded pass of time-driven work. Call it about every ``settings.tick_s``, on every server."""
        return self._maintenance.tick()

    # ----- read

    def _ask(self, question: Callable[..., T], *arguments: object, engine_id: str | None = None) -> T:
        return carrying.ask(self._house, self._context, question, arguments, engine_id)

    def resolve_job_id(self, text: str) -> str:
        """The id that a text means: an id, or the beginning of one (≥ 4 digits, with or without ``job-``).

        Raises AmbiguousIdError if several jobs begin so. Whether a whole id exists is left to the verb.
        """
        beginning = beginning_of_job_id(text)
        return text if beginning is None else self._ask(queries.resolve, text, beginning)

    def job(self, job_id: str) -> Job:
        """One job. Raises UnknownJobError."""
        return self._ask(queries.job, job_id)

    def jobs(self, query: Query) -> Page:
        """A page of this tenant's jobs; soft-deleted ones only if ``where`` names ``deleted``."""
        return self._ask(queries.jobs, query)

    def export_jobs(self, query: Query) -> Iterator[Job]:
        """Every job a query finds, one page of ``query.limit`` in memory at a time.

        Each page is read when it is reached. In the order of creation every job comes once.
        """
        return every_job(self.jobs, query)

    def export_events(self, after: Cursor | None = None, *, page: int = 1_000) -> Iterator[Recorded]:
        """Every event behind a cursor up to now, in commit order, one page in memory at a time."""
        return every_event(partial(self.events, limit=page), after)

    def attempts(self, job_id: str) -> list[Attempt]:
        """Every attempt of a job, first to last."""
        return self._ask(queries.attempts, job_id)

    def engine(self, engine_id: str) -> EngineStatus:
        """One engine with its pulse and open attempts. Raises UnknownEngineError."""
        return self._ask(queries.engine, engine_id, engine_id=engine_id)

    def performance(self, engine_id: str) -> list[Observed]:
        """How fast an engine completed its last jobs, by task class. Raises UnknownEngineError."""
        return self._ask(queries.performance, engine_id, engine_id=engine_id)

    def estimates(self, engine_id: str | None = None) -> list[Rate]:
        """Seconds per unit of work on each engine, or one, by task class. Raises UnknownEngineError."""
        return self._ask(queries.estimates, engine_id, engine_id=engine_id)

    def engines(self, *, left: bool = False, order: str = "id") -> list[EngineStatus]:
        """This tenant's engines, those that have left only if asked for.

        ``order`` is ``id``, ``hostname`` or ``last_seen``, with a dash before it the other way round; ties by id.
        """
        return self._ask(queries.engines, left, order)

    def history(self, job_id: str, *, after: Cursor | None = None, limit: int = 1_000) -> list[Recorded]:
        """What became of a job, oldest first, one row per version."""
        return self._ask(queries.history, job_id, after, limit)

    def events(self, after: Cursor | None = None, *, limit: int = 1_000) -> list[Recorded]:
        """The events of the whole store behind a cursor, in commit order."""
        return self._ask(queries.events, after, limit)

    def explain(self, job_id: str, engine_id: str | None = None) -> JobExplanation:
        """Why a job is where it is: every engine's answer (or one's), from live state."""
        return self._ask(explaining.explain, job_id, engine_id)

    def preview(self, engine_id: str) -> ClaimExplanation:
        """What a claim by this engine would see now. Changes nothing."""
        return self._ask(explaining.preview, engine_id, engine_id=engine_id)

    def check_storage(self) -> None:
        """One round trip to the store. Raises StorageError if it does not answer."""
        self._ask(queries.probe)

    def stats(self) -> Stats:
        """Counts of jobs and engines, and whether the accounting identity holds."""
        return self._ask(queries.stats)
