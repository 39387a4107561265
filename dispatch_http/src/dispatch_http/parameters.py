"""Query parameters: each declared, each parsed strictly, none ignored."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Collection

import falcon

from dispatch_core import InvalidCommandError
from dispatch_core.forms import hint, parse_instant
from dispatch_http.grammar import ENGINE_ID, JOB_ID
from dispatch_http.problems import Refusal

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_PLACE = re.compile(r"([0-9]{1,18})\.([0-9]{1,9})")
_VALUES_MAX = 50
_CURSOR_CHARS_MAX = 512
_INT_MAX = 2**63 - 1


def refusal(name: str, detail: str) -> Refusal:
    """A refusal that names the parameter."""
    return Refusal("invalid-parameter", f"{name}: {detail}", errors=[{"parameter": name, "detail": detail}])


class Asked:
    """The query of a request. Every name in it must be one of ``known``. All methods raise Refusal."""

    def __init__(self, req: falcon.Request, *known: str) -> None:
        self._req = req
        for name in req.params:
            if name not in known:
                raise refusal(name[:64], _hint(name, known))

    def text(self, name: str, *, chars_max: int = 255) -> str | None:
        """A text of 1 to ``chars_max`` characters, given at most once; None if it is not given."""
        values = self.texts(name, chars_max=chars_max)
        if len(values) > 1:
            raise refusal(name, "is given more than once")
        return values[0] if values else None

    def texts(self, name: str, *, chars_max: int = 255) -> tuple[str, ...]:
        """Every value of a parameter that may be repeated: whatever a record can hold can be asked for."""
        given = self._req.params.get(name)
        if given is None:
            return ()
        values = (given,) if isinstance(given, str) else tuple(given)
        if len(values) > _VALUES_MAX:
            raise refusal(name, f"is given more than {_VALUES_MAX} times")
        if not all(0 < len(value) <= chars_max and "\x00" not in value for value in values):
            raise refusal(name, f"must have from 1 to {chars_max} characters, none of them NUL")
        return values

    def choices(self, name: str, options: Collection[str]) -> tuple[str, ...]:
        """Values out of a set; one parameter may hold several, separated by commas."""
        values = tuple(word for value in self.texts(name) for word in value.split(","))
        for value in values:
            if value not in options:
                raise refusal(name, f"must be one of {', '.join(sorted(options))}")
        return values

    def choice(self, name: str, options: Collection[str], default: str) -> str:
        """One value out of a set."""
        values = self.choices(name, options)
        if len(values) > 1:
            raise refusal(name, "takes one value")
        return values[0] if values else default

    def flag(self, name: str) -> bool:
        """Whether it says true; false if it is not given."""
        return self.choice(name, ("true", "false"), "false") == "true"

    def whole(self, name: str, *, default: int, ge: int, le: int) -> int:
        """A whole number within limits."""
        value = self.text(name)
        if value is None:
            return default
        if not _WHOLE.fullmatch(value) or not ge <= int(value) <= le:
            raise refusal(name, f"must be a whole number from {ge} to {le}")
        return int(value)

    def seconds(self, name: str, *, le: float) -> float:
        """A span in seconds, cut to ``le``; 0 if it is not given."""
        value = self.text(name)
        if value is None:
            return 0.0
        if not _NUMBER.fullmatch(value):
            raise refusal(name, "must be a number of seconds, such as 30 or 0.5")
        return min(float(value), le)

    def instant(self, name: str) -> str | None:
        """A time with its zone."""
        value = self.text(name)
        if value is None:
            return None
        try:
            parse_instant(value, "")
        except InvalidCommandError as error:
            raise refusal(name, error.problems[0].message) from None
        return value

    def fields(self, known: Collection[str], name: str = "fields") -> tuple[str, ...]:
        """The fields that are wanted, separated by commas; none means all."""
        values = tuple(word for value in self.texts(name, chars_max=2_000) for word in value.split(","))
        for value in values:
            if value not in known:
                raise refusal(name, f"{value[:64]!r} is not a field; {hint(value, known)}")
        return tuple(dict.fromkeys(values))

    def engine_id(self, name: str = "engine_id") -> str | None:
        """An engine's id."""
        value = self.text(name)
        if value is not None and not ENGINE_ID.fullmatch(value):
            raise refusal(name, "must have 1 to 100 letters, digits and . _ -")
        return value

    def required(self, name: str, value: str | None) -> str:
        """``value``, which must have been given."""
        if value is None:
            raise refusal(name, "is required")
        return value

    def place(self, name: str = "cursor") -> tuple[int, int] | None:
        """A place in the history, as ``recorded_form`` writes it."""
        value = self.text(name)
        if value is None:
            return None
        found = _PLACE.fullmatch(value)
        if not found:
            raise refusal(name, "is not a cursor of this list")
        return int(found[1]), int(found[2])

    def resume(self, sort: str, name: str = "cursor") -> tuple[int, str] | None:
        """Where a page of jobs goes on: the (sort value, id) of the last one seen in the same order."""
        value = self.text(name, chars_max=_CURSOR_CHARS_MAX)
        if value is None:
            return None
        place = place_of(value, sort)
        if place is None:
            raise refusal(name, "is not a cursor of this list in this order")
        return place


def page_cursor(sort: str, after: tuple[str | int, str]) -> str:
    """The opaque text of a place in a list sorted by ``sort``."""
    return base64.urlsafe_b64encode(json.dumps([sort, *after]).encode()).decode().rstrip("=")


def place_of(text: str, sort: str) -> tuple[int, str] | None:
    """The place that a cursor of ``page_cursor`` stands for; None if it is none of this order."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        data = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        data = None
    match data:
        case [str(order), int(value), str(job_id)] if (
            order == sort
            and not isinstance(value, bool)
            and math.fabs(value) <= _INT_MAX
            and JOB_ID.fullmatch(job_id)
        ):
            return value, job_id
        case _:
            return None


def _hint(name: str, known: Collection[str]) -> str:
    return f"is not a known parameter; {hint(name, known) if known else 'there are none'}"
