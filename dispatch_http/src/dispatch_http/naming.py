"""The ids in a path: which are none, and which job the beginning of one stands for."""

from __future__ import annotations

import falcon

from dispatch_core import (
    UnknownEngineError,
    UnknownJobError,
    UnknownKeyError,
    UnknownLimitError,
    UnknownPoolError,
    UnknownWindowError,
)
from dispatch_http.desk import Desk
from dispatch_http.grammar import ATTEMPT, ENGINE_ID, JOB_ID, KEY_ID, LIMIT_KEY, POOL_ID, WINDOW_ID
from dispatch_http.problems import Refusal


class Ids:
    """Middleware: an id in the path that no record can have is a record that does not exist.

    The beginning of a job's id stands for the whole, as long as one job of the caller's begins so.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        """Check the ids in the path, before the resource sees them."""
        if not JOB_ID.fullmatch(params.get("job_id", "x")):
            raise UnknownJobError("no job has such an id: ids have 1 to 64 of a-z, 0-9 and -")
        if not ENGINE_ID.fullmatch(params.get("engine_id", "x")):
            raise UnknownEngineError("no engine has such an id: ids have 1 to 100 letters, digits and . _ -")
        if not KEY_ID.fullmatch(params.get("key_id", "x")):
            raise UnknownKeyError("no key has such an id: ids have 1 to 64 of a-z, 0-9 and -")
        if not POOL_ID.fullmatch(params.get("pool_id", "x")):
            raise UnknownPoolError("no pool has such an id: ids have 1 to 64 letters, digits and . _ -")
        if not LIMIT_KEY.fullmatch(params.get("limit_key", "x")):
            raise UnknownLimitError(
                "no limit has such a key: keys have 1 to 120 letters, digits and . _ : @ -"
            )
        if not WINDOW_ID.fullmatch(params.get("window_id", "x")):
            raise UnknownWindowError("no window has such an id: ids have 1 to 64 of a-z, 0-9 and -")
        if not ATTEMPT.fullmatch(params.get("number", "1")):
            raise Refusal("unknown-attempt", "attempts are numbered from 1")
        if "job_id" in params:
            params["job_id"] = self._desk.asking(req).resolve_job_id(params["job_id"])
