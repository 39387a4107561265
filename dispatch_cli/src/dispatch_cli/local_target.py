"""The target that is a database on this machine, worked on by the core itself."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from attrs import evolve

from dispatch_cli import __version__
from dispatch_cli.exits import CommandFailure, ExitCode, Problem, exit_code_of
from dispatch_cli.kinds import KINDS
from dispatch_cli.local_cursors import page_cursor, place_after, resumed
from dispatch_cli.local_verbs import acted, purged, steered, submitted
from dispatch_cli.target import EngineVerb, Form, JobQuery, JobVerb, ManyVerb
from dispatch_core import (
    Context,
    Dispatcher,
    DispatchError,
    Engine,
    EngineStatus,
    InvalidCommandError,
    Job,
    Key,
    LimitRoom,
    LimitSpec,
    PoolRoom,
    PoolSpec,
    Scope,
)
from dispatch_core.forms import (
    ENGINE_FIELDS,
    JOB_FIELDS,
    TIMES,
    JobFilter,
    attempt_form,
    bulk_form,
    campaign_form,
    checked_fields,
    claim_form,
    dumps,
    edit_from_form,
    engine_form,
    estimates_form,
    explanation_form,
    filter_from_form,
    job_form,
    key_form,
    limit_form,
    names_used,
    only,
    parse,
    parse_instant,
    performance_form,
    pointing_at,
    pool_form,
    recorded_form,
    rekey_form,
    spec_from_form,
    window_form,
)

_EXPORT_PAGE: Final = 500


def open_local(database: str, *, create: bool) -> LocalTarget:
    """The target of a database named by its path or URL. Raises CommandFailure."""
    from dispatch_core.storage import create_storage

    with core_errors():
        storage = create_storage(database, init=create)
    dispatcher = Dispatcher(storage, kinds=KINDS)

    def close() -> None:
        dispatcher.close()
        storage.close()

    return LocalTarget(dispatcher, close)


class LocalTarget:
    """A dispatcher in this process, acting for the user who runs it. Fulfils ``Target``."""

    def __init__(self, dispatcher: Dispatcher, close: Callable[[], None]) -> None:
        self._dispatcher = dispatcher
        self._close = close
        self._actor = f"local:{_user()}"

    def close(self) -> None:
        """Let go of the database."""
        with core_errors():
            self._close()

    @contextmanager
    def _acting(self, key: str | None = None) -> Iterator[Dispatcher]:
        with core_errors():
            yield self._dispatcher.acting(Context(actor=self._actor, receipt_key=key))

    @contextmanager
    def _about(self, job_id: str, key: str | None = None) -> Iterator[tuple[Dispatcher, str]]:
        """The dispatcher, and the whole id of a job that may be named by its beginning."""
        with self._acting(key) as acting:
            yield acting, acting.resolve_job_id(job_id)

    # ----- jobs

    def submit(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            spec = spec_from_form(form, priority=acting.settings.priority_default)
            return job_form(acting.submit(spec))

    def submit_each(
        self, forms: Sequence[Mapping[str, object]], *, key: str | None = None
    ) -> Sequence[Form | CommandFailure]:
        """See ``Target``."""
        with self._acting(key) as acting:
            return submitted(acting, forms, core_errors)

    def job(self, job_id: str, *, fields: Sequence[str] = ()) -> Form:
        """See ``Target``."""
        with self._about(job_id) as (acting, found):
            return only(job_form(acting.job(found)), checked_fields(fields, JOB_FIELDS))

    def jobs(self, query: JobQuery) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            fields = checked_fields(query.fields, JOB_FIELDS)
            after = None if query.cursor is None else resumed(query.cursor, query.sort)
            page = acting.jobs(_filter(query).query(query.sort, after=after, limit=query.limit))
        jobs = [only(job_form(job), fields) for job in page.records if isinstance(job, Job)]
        return {"jobs": jobs, "next_cursor": page.next and page_cursor(query.sort, page.next)}

    def export_jobs(self, query: JobQuery) -> Iterator[str]:
        """See ``Target``."""
        with self._acting() as acting:
            fields = checked_fields(query.fields, JOB_FIELDS)
            for job in acting.export_jobs(_filter(query).query(limit=_EXPORT_PAGE)):
                yield dumps(only(job_form(job), fields))

    def export_history(self, cursor: str | None = None) -> Iterator[str]:
        """See ``Target``."""
        with self._acting() as acting:
            after = None if cursor is None else place_after(cursor)
            for row in acting.export_events(after, page=_EXPORT_PAGE):
                yield dumps(recorded_form(row))

    def act_on_many(self, verb: ManyVerb, wish: Mapping[str, object]) -> Form:
        """See ``Target``."""
        dry_run = bool(wish.get("dry_run"))
        told: dict[str, Any] = {
            "dry_run": dry_run, "expected": wish.get("expected"), "limit": wish.get("limit", 1_000),
        }  # fmt: skip
        cursor = wish.get("cursor")
        with self._acting() as acting:
            query = filter_from_form(wish.get("filter"), "/filter").query()
            if cursor is not None:
                query = evolve(query, after=resumed(str(cursor), "created_at"))
            if verb == "requeue":
                report = acting.requeue_many(query, **told)
            else:
                report = acting.cancel_many(query, reason=str(wish.get("reason", "")), **told)
        following = report.next and page_cursor("created_at", report.next)
        return {"dry_run": dry_run, **bulk_form(report), "next_cursor": following}

    def edit(
        self,
        job_id: str,
        changes: Mapping[str, object],
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> Form:
        """See ``Target``."""
        with self._about(job_id, key) as (acting, found), pointing_at(names_used(changes)):
            return job_form(acting.update(found, edit_from_form(changes), if_version=if_version))

    def act(
        self, job_id: str, verb: JobVerb, body: Mapping[str, object] | None = None, *, key: str | None = None
    ) -> Form:
        """See ``Target``."""
        with self._about(job_id, key) as (acting, found):
            return job_form(acted(acting, found, verb, body or {}))

    def delete(self, job_id: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        with self._about(job_id, key) as (acting, found):
            return job_form(acting.delete(found))

    def attempts(self, job_id: str) -> Form:
        """See ``Target``."""
        with self._about(job_id) as (acting, found):
            return {"attempts": [attempt_form(each) for each in acting.attempts(found)]}

    def history(self, job_id: str, *, cursor: str | None = None, limit: int = 100) -> Form:
        """See ``Target``."""
        with self._about(job_id) as (acting, found):
            rows = acting.history(found, after=None if cursor is None else place_after(cursor), limit=limit)
        events = [recorded_form(row) for row in rows]
        return {"events": events, "next_cursor": events[-1]["cursor"] if len(events) == limit else None}

    def explain(self, job_id: str, engine_id: str | None = None) -> Form:
        """See ``Target``."""
        with self._about(job_id) as (acting, found):
            return explanation_form(acting.explain(found, engine_id))

    # ----- engines

    def engines(self, *, left: bool = False, sort: str = "id", fields: Sequence[str] = ()) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            names = checked_fields(fields, ENGINE_FIELDS)
            found = acting.engines(left=left, order=sort)
            return {"engines": [only(_engine(each), names) for each in found]}

    def engine(self, engine_id: str, *, fields: Sequence[str] = ()) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return only(_engine(acting.engine(engine_id)), checked_fields(fields, ENGINE_FIELDS))

    def steer(self, engine_id: str, verb: EngineVerb, *, reason: str = "", key: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            return _as_left(acting, steered(acting, engine_id, verb, reason))

    def deregister(self, engine_id: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            return _as_left(acting, acting.deregister(engine_id))

    def performance(self, engine_id: str) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return performance_form(engine_id, acting.performance(engine_id))

    def estimates(self, engine_id: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return estimates_form(acting.estimates(engine_id))

    def preview(self, engine_id: str) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return claim_form(acting.preview(engine_id))

    def windows(self) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return {"windows": [window_form(each) for each in acting.windows.list()]}

    def plan_window(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """See ``Target``."""
        engine_id, begins_at = form.get("engine_id"), form.get("begins_at")
        with self._acting(key) as acting:
            from_us = 0 if begins_at is None else parse_instant(begins_at, "/begins_at")
            until_us = parse_instant(form.get("ends_at"), "/ends_at")
            with pointing_at(TIMES):
                window = acting.windows.plan(
                    None if engine_id is None else str(engine_id),
                    from_us=from_us,
                    until_us=until_us,
                    reason=str(form.get("reason", "")),
                )
        return window_form(window)

    def end_window(self, window_id: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            return window_form(acting.windows.end(window_id))

    # ----- pools

    def pools(self) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return {"pools": [pool_form(room) for room in acting.pools.list()]}

    def pool(self, pool_id: str) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return pool_form(acting.pools.get(pool_id))

    def add_pool(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """See ``Target``."""
        said = {name: value for name, value in form.items() if name != "id"}
        with self._acting(key) as acting:
            pool = acting.pools.create(str(form["id"]), parse(PoolSpec, said))
        return pool_form(PoolRoom(pool))

    def edit_pool(
        self,
        pool_id: str,
        changes: Mapping[str, object],
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            acting.pools.edit(pool_id, changes, if_version=if_version)
            return pool_form(acting.pools.get(pool_id))

    def remove_pool(self, pool_id: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            return pool_form(PoolRoom(acting.pools.delete(pool_id)))

    def campaign(self, name: str) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return campaign_form(acting.campaigns.progress(name))

    # ----- limits

    def limits(self) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return {"limits": [limit_form(room) for room in acting.limits.list()]}

    def set_limit(self, limit_key: str, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            acting.limits.set(limit_key, parse(LimitSpec, form))
            return limit_form(acting.limits.get(limit_key))

    def remove_limit(self, limit_key: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            return limit_form(LimitRoom(limit=acting.limits.remove(limit_key)))

    # ----- keys

    def keys(self, *, tenant: str | None = None, revoked: bool = False) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return {"keys": [key_form(each) for each in acting.keys(tenant=tenant, revoked=revoked)]}

    def create_key(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            return _told(*_created(acting, form))

    def rotate_key(self, key_id: str, *, overlap_s: float = 0.0, key: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            return _told(*acting.rotate_key(key_id, overlap_s=overlap_s))

    def revoke_key(self, key_id: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        with self._acting(key) as acting:
            return key_form(acting.revoke_key(key_id))

    # ----- the whole

    def logs(self, *, level: str, logger: str | None, since: str | None, limit: int) -> Form:
        """See ``Target``. A database has no log."""
        message = "the log is a server's: name one with --url instead of a database"
        raise CommandFailure("no-log", message, exit_code=ExitCode.USAGE)

    def status(self) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            stats = acting.stats()
        return {
            "jobs": dict(stats.jobs),
            "accepted": stats.accepted,
            "purged": stats.purged,
            "engines": dict(stats.engines),
            "identity_holds": stats.identity_holds,
            "version": __version__,
        }

    def rekey(self, after: str | None) -> Form:
        """See ``Target``."""
        instant, _, job_id = (after or "").partition(".")
        with self._acting() as acting:
            return rekey_form(acting.rekey(after=(int(instant), job_id) if job_id else None))

    def purge(self, body: Mapping[str, object]) -> Form:
        """See ``Target``."""
        with self._acting() as acting:
            return purged(acting, body)

    def backup(self) -> Form:
        """See ``Target``."""
        message = "a local database is backed up with `dispatch db backup FILE`"
        raise CommandFailure("wrong-state", message, exit_code=ExitCode.REFUSED)


@contextmanager
def core_errors() -> Iterator[None]:
    """Within it, errors of the core become failures of the command."""
    try:
        yield
    except InvalidCommandError as error:
        problems = [Problem(each.path, each.message) for each in error.problems]
        raise CommandFailure(error.code, str(error), exit_code=ExitCode.INVALID, problems=problems) from error
    except DispatchError as error:
        raise CommandFailure(error.code, str(error), exit_code=exit_code_of(error.code)) from error


def _created(acting: Dispatcher, form: Mapping[str, Any]) -> tuple[Key, str | None]:
    expires_at = form.get("expires_at")
    with pointing_at(TIMES):
        return acting.create_key(
            form["name"],
            [Scope(each) for each in form["scopes"]],
            tenant=form.get("tenant"),
            engine_id=form.get("engine_id"),
            expires_us=None if expires_at is None else parse_instant(expires_at, "/expires_at"),
        )


def _told(key: Key, text: str | None) -> Form:
    return {**key_form(key), "text": text}


def _engine(status: EngineStatus) -> Form:
    return engine_form(status.engine, status.pulse, tuple(status.attempts), status.windows)


def _as_left(acting: Dispatcher, engine: Engine) -> Form:
    """An engine as a command left it, with its last sign of life and what it runs now."""
    now = acting.engine(engine.id)
    return engine_form(engine, now.pulse, tuple(now.attempts), now.windows)


def _filter(query: JobQuery) -> JobFilter:
    fields = {
        "kind": query.kind,
        "engine": query.engine_id,
        "account": query.account,
        "campaign": query.campaign,
        "tenant": query.tenant,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    return filter_from_form({"state": list(query.states), "deleted": query.deleted, **given, **query.times})


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
