"""Cursors of a local database: opaque texts of places in lists, as the server writes them."""

from __future__ import annotations

import base64
import json
import re
from typing import Final

from dispatch_cli.exits import CommandFailure, ExitCode

_PLACE: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,9})")


def page_cursor(sort: str, after: tuple[str | int, str]) -> str:
    """The text of a place in a list of jobs sorted by ``sort``."""
    return base64.urlsafe_b64encode(json.dumps([sort, *after]).encode()).decode().rstrip("=")


def resumed(cursor: str, sort: str) -> tuple[int, str]:
    """The place that ``page_cursor`` wrote. Raises CommandFailure."""
    try:
        data = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except ValueError:
        data = None
    match data:
        case [str(order), int(value), str(job_id)] if order == sort:
            return value, job_id
        case _:
            raise _no_cursor()


def place_after(cursor: str) -> tuple[int, int]:
    """A place in the history. Raises CommandFailure."""
    found = _PLACE.fullmatch(cursor)
    if found is None:
        raise _no_cursor()
    return int(found[1]), int(found[2])


def _no_cursor() -> CommandFailure:
    message = "the cursor does not belong to this list in this order"
    return CommandFailure("invalid-parameter", message, exit_code=ExitCode.INVALID)
