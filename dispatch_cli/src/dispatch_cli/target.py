"""Where commands go: one protocol of verbs, over a server or over a local database.

Forms are the plain JSON data that the HTTP interface speaks; both targets give the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from attrs import field, frozen

from dispatch_cli.exits import CommandFailure

Form = dict[str, Any]
JobVerb = Literal["cancel", "requeue", "hold", "release", "assign", "restore"]
ManyVerb = Literal["requeue", "cancel"]
EngineVerb = Literal["drain", "cordon", "resume"]
ENGINE_SORTS = ("id", "-id", "hostname", "-hostname", "last_seen", "-last_seen")
SORTS = ("created_at", "-created_at", "updated_at", "-updated_at", "priority", "-priority")
STATES = (
    "pending",
    "delayed",
    "assigned",
    "failed_retry",
    "completed",
    "failed_permanently",
    "cancelled",
)
ENDED = frozenset({"completed", "failed_permanently", "cancelled"})
PAGE_MAX = 1_000


@frozen(kw_only=True)
class JobQuery:
    """Which jobs to list, in which order, from where on, and which fields of them (none: all).

    ``times`` holds RFC 3339 texts by ``created_since``, ``created_until``, ``updated_since``, ``updated_until``.
    """

    states: Sequence[str] = ()
    kind: str | None = None
    engine_id: str | None = None
    account: str | None = None
    campaign: str | None = None
    tenant: str | None = None
    deleted: bool = False
    times: Mapping[str, str] = field(factory=dict)
    fields: Sequence[str] = ()
    sort: str = "-created_at"
    limit: int = 50
    cursor: str | None = None


class Target(Protocol):
    """Everything a command can ask for. All verbs raise CommandFailure.

    ``key`` makes a mutating call idempotent; without one a target draws its own for its repeats.
    """

    def submit(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """Accept a job; its form."""
        ...

    def submit_each(
        self, forms: Sequence[Mapping[str, object]], *, key: str | None = None
    ) -> Sequence[Form | CommandFailure]:
        """Accept those of up to 1,000 jobs that are fit; of each its form, or what refuses it."""
        ...

    def job(self, job_id: str, *, fields: Sequence[str] = ()) -> Form:
        """One job, or these fields of it."""
        ...

    def jobs(self, query: JobQuery) -> Form:
        """A page: ``{"jobs": […], "next_cursor": …}``."""
        ...

    def export_jobs(self, query: JobQuery) -> Iterator[str]:
        """Every job of a query as a line of JSON, oldest first; its order, limit and cursor do not count."""
        ...

    def export_history(self, cursor: str | None = None) -> Iterator[str]:
        """Every event behind a cursor as a line of JSON."""
        ...

    def act_on_many(self, verb: ManyVerb, wish: Mapping[str, object]) -> Form:
        """Do something to the jobs of a filter: the body and the answer of ``POST /jobs:VERB``."""
        ...

    def edit(
        self,
        job_id: str,
        changes: Mapping[str, object],
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> Form:
        """Apply a merge patch to a waiting job; its form."""
        ...

    def act(
        self, job_id: str, verb: JobVerb, body: Mapping[str, object] | None = None, *, key: str | None = None
    ) -> Form:
        """Do something to a job; its form."""
        ...

    def delete(self, job_id: str, *, key: str | None = None) -> Form:
        """Soft-delete a job; its form."""
        ...

    def attempts(self, job_id: str) -> Form:
        """Every attempt of a job: ``{"attempts": […]}``."""
        ...

    def history(self, job_id: str, *, cursor: str | None = None, limit: int = 100) -> Form:
        """What became of a job: ``{"events": […], "next_cursor": …}``."""
        ...

    def explain(self, job_id: str, engine_id: str | None = None) -> Form:
        """Why a job is where it is."""
        ...

    def engines(self, *, left: bool = False, sort: str = "id", fields: Sequence[str] = ()) -> Form:
        """``{"engines": […]}``."""
        ...

    def engine(self, engine_id: str, *, fields: Sequence[str] = ()) -> Form:
        """One engine with what it runs, or these fields of it."""
        ...

    def steer(self, engine_id: str, verb: EngineVerb, *, reason: str = "", key: str | None = None) -> Form:
        """Say what is wanted of an engine; its form."""
        ...

    def deregister(self, engine_id: str, *, key: str | None = None) -> Form:
        """Make an engine leave; its form."""
        ...

    def performance(self, engine_id: str) -> Form:
        """What an engine was seen to do, by task class."""
        ...

    def estimates(self, engine_id: str | None = None) -> Form:
        """How long a unit of work should take, on all engines or on one."""
        ...

    def preview(self, engine_id: str) -> Form:
        """What a claim by an engine would see now."""
        ...

    def windows(self) -> Form:
        """``{"windows": […]}``."""
        ...

    def plan_window(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """Plan a maintenance window; its form."""
        ...

    def end_window(self, window_id: str, *, key: str | None = None) -> Form:
        """End a maintenance window; its last form."""
        ...

    def pools(self) -> Form:
        """``{"pools": […]}``."""
        ...

    def pool(self, pool_id: str) -> Form:
        """One storage pool with what is free in it."""
        ...

    def add_pool(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """Make a pool; its form."""
        ...

    def edit_pool(
        self,
        pool_id: str,
        changes: Mapping[str, object],
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> Form:
        """Apply a merge patch to a pool; its form."""
        ...

    def remove_pool(self, pool_id: str, *, key: str | None = None) -> Form:
        """Forget a pool; its last form."""
        ...

    def campaign(self, name: str) -> Form:
        """How far a campaign has come."""
        ...

    def limits(self) -> Form:
        """``{"limits": […]}``."""
        ...

    def set_limit(self, limit_key: str, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """Say what holds for a key; its form."""
        ...

    def remove_limit(self, limit_key: str, *, key: str | None = None) -> Form:
        """Let a key be limited no longer; its last form."""
        ...

    def keys(self, *, tenant: str | None = None, revoked: bool = False) -> Form:
        """``{"keys": […]}``."""
        ...

    def create_key(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """Let somebody in; the form of the key with its ``text``, which is null for a repeat."""
        ...

    def rotate_key(self, key_id: str, *, overlap_s: float = 0.0, key: str | None = None) -> Form:
        """Another text for a key; like ``create_key``."""
        ...

    def revoke_key(self, key_id: str, *, key: str | None = None) -> Form:
        """Let somebody in no longer; the form of the key."""
        ...

    def logs(self, *, level: str, logger: str | None, since: str | None, limit: int) -> Form:
        """The latest lines of the log: ``{"lines": […]}``."""
        ...

    def status(self) -> Form:
        """Counts of jobs and engines, and whether the accounting identity holds."""
        ...

    def rekey(self, after: str | None) -> Form:
        """Place the next pending jobs anew: ``{"looked": …, "moved": …, "next": …}``."""
        ...

    def purge(self, body: Mapping[str, object]) -> Form:
        """Purge ended jobs, or count them: ``{"total": …, "counts": …, "more": …}``."""
        ...

    def backup(self) -> Form:
        """Back up into the server's own folder: ``{"name": …, "size_bytes": …}``."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...
