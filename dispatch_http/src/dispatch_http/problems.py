"""The only table from errors to HTTP statuses, and their form: problem details (RFC 9457)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import falcon
from attrs import field, frozen

from dispatch_core import DispatchError, InvalidCommandError, LimitExceededError

MEDIA_TYPE = "application/problem+json"
URN = "urn:dispatch:problem:"

# What the core refuses, by the code of its error.
_CORE: Mapping[str, tuple[int, str]] = {
    "invalid-command": (422, "The input is not acceptable"),
    "unknown-job": (404, "There is no such job"),
    "unknown-engine": (404, "There is no such engine"),
    "unknown-pool": (404, "There is no such pool"),
    "unknown-limit": (404, "There is no such limit"),
    "unknown-campaign": (404, "There is no such campaign"),
    "unknown-window": (404, "There is no such maintenance window"),
    "unknown-key": (404, "There is no such key"),
    "forbidden": (403, "This key may not do that"),
    "ambiguous-id": (409, "The id stands for several jobs"),
    "count-changed": (409, "Not as many jobs as expected"),
    "wrong-state": (409, "The present state does not allow this"),
    "lease-lost": (409, "The lease is lost: stop this work"),
    "session-replaced": (409, "A newer start of this engine has registered"),
    "rejected": (409, "The present state refuses this"),
    "version-mismatch": (412, "The record has changed since that version"),
    "idempotency-key-reused": (422, "The idempotency key was used with another request"),
    "limit-exceeded": (429, "A limit is reached"),
    "overloaded": (503, "Too much is waiting to be written"),
    "storage-unavailable": (503, "The store is unavailable"),
    "storage-in-use": (503, "The store belongs to another process"),
    "schema-mismatch": (503, "The store has a schema this version cannot read"),
    "storage-damaged": (503, "The store is damaged"),
    "conflict": (503, "Too many changes at once"),
    "storage-error": (503, "The store failed"),
    "closed": (503, "The server is shutting down"),
    "dispatch-error": (500, "The server failed"),
}
# What this frontend refuses before the core hears of it.
_EDGE: Mapping[str, tuple[int, str]] = {
    "invalid-json": (400, "The body is not acceptable JSON"),
    "invalid-parameter": (400, "A query parameter is not acceptable"),
    "invalid-header": (400, "A header is not acceptable"),
    "unauthorized": (401, "A key is needed"),
    "foreign-origin": (403, "Other sites may not use this server without a key"),
    "unknown-attempt": (404, "There is no such attempt"),
    "no-backup-folder": (409, "This server keeps no backups"),
    "backup-running": (409, "A backup is being taken"),
    "content-too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body must be JSON"),
    "not-ready": (503, "The server is not ready"),
    "rate-limited": (429, "Too many requests"),
    "internal-error": (500, "The server failed"),
}
STATUS: Mapping[str, tuple[int, str]] = {**_CORE, **_EDGE}
_DETAILS = {404: "there is no such path", 405: "this path has other methods; see Allow"}
_RETRY_AFTER_S = 2


@frozen(kw_only=True)
class Problem:
    """One refusal as it leaves the server. ``errors`` point at fields (``pointer``) or ``parameter``s."""

    status: int
    title: str
    code: str
    type: str = "about:blank"
    detail: str = ""
    errors: Sequence[Mapping[str, object]] = ()
    headers: Mapping[str, str] = field(factory=dict)

    def body(self, request_id: str | None) -> bytes:
        """Its JSON text; ASCII only, so that whatever it quotes can be sent."""
        return json.dumps(self.form(request_id)).encode()

    def form(self, request_id: str | None) -> dict[str, object]:
        """Its members; empty ones are left out."""
        members = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "errors": list(self.errors),
            "request_id": request_id,
        }
        return {name: value for name, value in members.items() if value not in (None, "", [])}


def of(error: Refusal | DispatchError) -> Problem:
    """The problem of either kind of refusal."""
    return error.problem if isinstance(error, Refusal) else of_core(error)


class Refusal(Exception):  # noqa: N818  # it is a refusal; the server is not in error
    """This frontend refuses the request; ``code`` is a key of STATUS."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, object]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        status, title = STATUS[code]
        self.problem = Problem(
            status=status,
            title=title,
            code=code,
            type=URN + code,
            detail=detail,
            errors=errors,
            headers={**_may_repeat(status), **(headers or {})},
        )


def _may_repeat(status: int) -> dict[str, str]:
    return {"Retry-After": str(_RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


def of_core(error: DispatchError) -> Problem:
    """The problem of an error of the core, by its code or the nearest known code among its ancestors."""
    code = next(code for cls in type(error).__mro__ if (code := str(vars(cls).get("code"))) in STATUS)
    status, title = STATUS[code]
    own = type(error).code
    return Problem(
        status=status,
        title=title,
        code=own,
        type=URN + own,
        detail=str(error),
        errors=_fields(error),
        headers=_retry_after(error, status),
    )


def _fields(error: DispatchError) -> list[dict[str, object]]:
    if not isinstance(error, InvalidCommandError):
        return []
    return [{"pointer": problem.path, "detail": problem.message} for problem in error.problems]


def _retry_after(error: DispatchError, status: int) -> dict[str, str]:
    if isinstance(error, LimitExceededError):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    return _may_repeat(status)


def of_falcon(error: falcon.HTTPError) -> Problem:
    """The problem of an error of the framework: no such route, wrong method and the like."""
    status = error.status_code
    title = HTTPStatus(status).phrase
    headers = error.headers or {}
    return Problem(
        status=status,
        title=title,
        code=title.lower().replace(" ", "-"),
        detail=error.description or _DETAILS.get(status, ""),
        headers=dict(headers.items() if isinstance(headers, Mapping) else headers),
    )


def unexpected() -> Problem:
    """The problem of a fault of ours: what happened stands in the log, not in the answer."""
    return Refusal("internal-error", "the failure is logged under this request id; repeating is safe").problem


def send(problem: Problem, req: falcon.Request, resp: falcon.Response) -> None:
    """Answer with a problem."""
    resp.status = problem.status
    resp.set_headers(dict(problem.headers))
    resp.content_type = MEDIA_TYPE
    resp.data = problem.body(req.context.request_id)
    req.context.problem = problem.code
