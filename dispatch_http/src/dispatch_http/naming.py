"""The ids in a path: which are none, and which job the beginning of one stands for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import falcon

from dispatch_core import (
    DispatchError,
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
        for name, text in params.items():
            known = _NAMES.get(name)
            if known is not None and not known[0].fullmatch(text):
                refusal = known[1]()
                raise refusal
        if "job_id" in params:
            params["job_id"] = self._desk.asking(req).resolve_job_id(params["job_id"])


_Refused = Callable[[], DispatchError | Refusal]
_ID = "ids have 1 to 64 of a-z, 0-9 and -"
_NAMES: Mapping[str, tuple[re.Pattern[str], _Refused]] = {
    "job_id": (JOB_ID, lambda: UnknownJobError(f"no job has such an id: {_ID}")),
    "engine_id": (
        ENGINE_ID,
        lambda: UnknownEngineError("no engine has such an id: ids have 1 to 100 letters, digits and . _ -"),
    ),
    "key_id": (KEY_ID, lambda: UnknownKeyError(f"no key has such an id: {_ID}")),
    "pool_id": (
        POOL_ID,
        lambda: UnknownPoolError("no pool has such an id: ids have 1 to 64 letters, digits and . _ -"),
    ),
    "limit_key": (
        LIMIT_KEY,
        lambda: UnknownLimitError(
            "no limit has such a key: keys have 1 to 120 letters, digits and . _ : @ -"
        ),
    ),
    "window_id": (WINDOW_ID, lambda: UnknownWindowError(f"no window has such an id: {_ID}")),
    "number": (ATTEMPT, lambda: Refusal("unknown-attempt", "attempts are numbered from 1")),
}
