"""The target behind HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from dispatch_cli.exits import CommandFailure
from dispatch_cli.target import EngineVerb, Form, JobQuery, JobVerb, ManyVerb
from dispatch_cli.transport import Transport, failure_told, segment


class RemoteTarget:
    """One or several servers of the same store. Fulfils ``Target``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _ask(self, path: str, **params: str | int | tuple[str, ...] | None) -> Form:
        return cast(Form, self._transport.call("GET", path, params=params).form)

    def _tell(self, method: str, path: str, body: Mapping[str, object] | None, key: str | None) -> Form:
        return cast(Form, self._transport.call(method, path, body=body, key=key).form)

    # ----- jobs

    def submit(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("POST", "/jobs", form, key)

    def submit_each(
        self, forms: Sequence[Mapping[str, object]], *, key: str | None = None
    ) -> Sequence[Form | CommandFailure]:
        """See ``Target``."""
        answers = self._transport.send_lines("/jobs", forms, key=key)
        return [
            each["job"] if "job" in each else failure_told(each["problem"], each["status"])
            for each in answers
        ]

    def job(self, job_id: str, *, fields: Sequence[str] = ()) -> Form:
        """See ``Target``."""
        return self._ask(f"/jobs/{segment(job_id)}", fields=_joined(fields))

    def jobs(self, query: JobQuery) -> Form:
        """See ``Target``."""
        return self._ask("/jobs", **_filter(query), sort=query.sort, limit=query.limit, cursor=query.cursor)

    def export_jobs(self, query: JobQuery) -> Iterator[str]:
        """See ``Target``."""
        return self._transport.lines("/jobs/export", _filter(query))

    def export_history(self, cursor: str | None = None) -> Iterator[str]:
        """See ``Target``."""
        return self._transport.lines("/history/export", {"cursor": cursor})

    def act_on_many(self, verb: ManyVerb, wish: Mapping[str, object]) -> Form:
        """See ``Target``."""
        return self._tell("POST", f"/jobs:{verb}", wish, None)

    def edit(
        self,
        job_id: str,
        changes: Mapping[str, object],
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> Form:
        """See ``Target``."""
        path = f"/jobs/{segment(job_id)}"
        answer = self._transport.call("PATCH", path, body=changes, if_version=if_version, key=key)
        return cast(Form, answer.form)

    def act(
        self, job_id: str, verb: JobVerb, body: Mapping[str, object] | None = None, *, key: str | None = None
    ) -> Form:
        """See ``Target``."""
        return self._tell("POST", f"/jobs/{segment(job_id)}/{verb}", body or {}, key)

    def delete(self, job_id: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("DELETE", f"/jobs/{segment(job_id)}", None, key)

    def attempts(self, job_id: str) -> Form:
        """See ``Target``."""
        return self._ask(f"/jobs/{segment(job_id)}/attempts")

    def history(self, job_id: str, *, cursor: str | None = None, limit: int = 100) -> Form:
        """See ``Target``."""
        return self._ask(f"/jobs/{segment(job_id)}/history", cursor=cursor, limit=limit)

    def explain(self, job_id: str, engine_id: str | None = None) -> Form:
        """See ``Target``."""
        return self._ask(f"/jobs/{segment(job_id)}/explain", engine_id=engine_id)

    # ----- engines

    def engines(self, *, left: bool = False, sort: str = "id", fields: Sequence[str] = ()) -> Form:
        """See ``Target``."""
        return self._ask("/engines", left=_flag(left), sort=sort, fields=_joined(fields))

    def engine(self, engine_id: str, *, fields: Sequence[str] = ()) -> Form:
        """See ``Target``."""
        return self._ask(f"/engines/{segment(engine_id)}", fields=_joined(fields))

    def steer(self, engine_id: str, verb: EngineVerb, *, reason: str = "", key: str | None = None) -> Form:
        """See ``Target``."""
        body = {} if verb == "resume" else {"reason": reason}
        return self._tell("POST", f"/engines/{segment(engine_id)}/{verb}", body, key)

    def deregister(self, engine_id: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("DELETE", f"/engines/{segment(engine_id)}", None, key)

    def performance(self, engine_id: str) -> Form:
        """See ``Target``."""
        return self._ask(f"/engines/{segment(engine_id)}/performance")

    def estimates(self, engine_id: str | None = None) -> Form:
        """See ``Target``."""
        return self._ask("/estimates" if engine_id is None else f"/engines/{segment(engine_id)}/estimates")

    def preview(self, engine_id: str) -> Form:
        """See ``Target``."""
        return self._ask("/queue/next_job", engine_id=engine_id)

    def windows(self) -> Form:
        """See ``Target``."""
        return self._ask("/windows")

    def plan_window(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("POST", "/windows", form, key)

    def end_window(self, window_id: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("DELETE", f"/windows/{segment(window_id)}", None, key)

    # ----- pools

    def pools(self) -> Form:
        """See ``Target``."""
        return self._ask("/pools")

    def pool(self, pool_id: str) -> Form:
        """See ``Target``."""
        return self._ask(f"/pools/{segment(pool_id)}")

    def add_pool(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("POST", "/pools", form, key)

    def edit_pool(
        self,
        pool_id: str,
        changes: Mapping[str, object],
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> Form:
        """See ``Target``."""
        path = f"/pools/{segment(pool_id)}"
        answer = self._transport.call("PATCH", path, body=changes, if_version=if_version, key=key)
        return cast(Form, answer.form)

    def remove_pool(self, pool_id: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("DELETE", f"/pools/{segment(pool_id)}", None, key)

    def campaign(self, name: str) -> Form:
        """See ``Target``."""
        return self._ask(f"/campaigns/{segment(name)}")

    # ----- limits

    def limits(self) -> Form:
        """See ``Target``."""
        return self._ask("/limits")

    def set_limit(self, limit_key: str, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("PUT", f"/limits/{segment(limit_key)}", form, key)

    def remove_limit(self, limit_key: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("DELETE", f"/limits/{segment(limit_key)}", None, key)

    # ----- keys

    def keys(self, *, tenant: str | None = None, revoked: bool = False) -> Form:
        """See ``Target``."""
        return self._ask("/keys", tenant=tenant, revoked="true" if revoked else None)

    def create_key(self, form: Mapping[str, object], *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("POST", "/keys", form, key)

    def rotate_key(self, key_id: str, *, overlap_s: float = 0.0, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("POST", f"/keys/{segment(key_id)}/rotate", {"overlap_s": overlap_s}, key)

    def revoke_key(self, key_id: str, *, key: str | None = None) -> Form:
        """See ``Target``."""
        return self._tell("DELETE", f"/keys/{segment(key_id)}", None, key)

    # ----- the whole

    def logs(self, *, level: str, logger: str | None, since: str | None, limit: int) -> Form:
        """See ``Target``."""
        return self._ask("/logs", level=level, logger=logger, since=since, limit=limit)

    def status(self) -> Form:
        """See ``Target``."""
        return self._ask("/status")

    def rekey(self, after: str | None) -> Form:
        """See ``Target``."""
        return self._tell("POST", "/admin/rekey", {} if after is None else {"after": after}, None)

    def purge(self, body: Mapping[str, object]) -> Form:
        """See ``Target``."""
        return self._tell("POST", "/admin/purge", body, None)

    def backup(self) -> Form:
        """See ``Target``."""
        return self._tell("POST", "/admin/backup", {}, None)


def _filter(query: JobQuery) -> dict[str, str | int | None]:
    """The part of a query that lists and exports share."""
    return {
        "state": _joined(query.states),
        "kind": query.kind,
        "engine": query.engine_id,
        "account": query.account,
        "campaign": query.campaign,
        "tenant": query.tenant,
        "deleted": _flag(query.deleted),
        "fields": _joined(query.fields),
        **query.times,
    }


def _joined(words: Sequence[str]) -> str | None:
    return ",".join(words) or None


def _flag(holds: bool) -> str | None:
    return "true" if holds else None
