"""Lists at the edge: which jobs, in which order, and which fields of each; the same words in every frontend."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from attrs import frozen

from dispatch_core.ports.storage import Query, Recorded
from dispatch_core.shell.forms import (
    Form,
    attempt_form,
    engine_form,
    job_form,
    key_form,
    parse_instant,
    recorded_form,
    window_form,
)
from dispatch_core.shell.parse import parse
from dispatch_core.shell.room_forms import limit_form, pool_form
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.bounds import Length
from dispatch_core.vocabulary.engines import Engine, Profile, Seen, Wanted
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError
from dispatch_core.vocabulary.jobs import Job, JobSpec, JobState, Text
from dispatch_core.vocabulary.keys import Key
from dispatch_core.vocabulary.limits import Limit, LimitRoom, LimitSpec
from dispatch_core.vocabulary.pools import Pool, PoolRoom, PoolSpec
from dispatch_core.vocabulary.records import RecordType
from dispatch_core.vocabulary.windows import Window

_SORTS: Mapping[str, str] = {
    "created_at": "created_us",
    "updated_at": "updated_us",
    "priority": "priority",
}
JOB_ORDERS = (*_SORTS, *(f"-{name}" for name in _SORTS))
"""How jobs may be sorted; a dash turns the order round. The first is what is used if nothing is said."""

_JOB = Job(id="", tenant="", version=1, spec=JobSpec(), state=JobState.PENDING, created_us=0, updated_us=0)
_ENGINE = Engine(
    id="", tenant="", version=1, profile=Profile(), session="", seen=Seen.LIVE, wanted=Wanted(),
    registered_us=0, updated_us=0,
)  # fmt: skip
JOB_FIELDS = tuple(job_form(_JOB))
"""The fields of a job's form."""
ENGINE_FIELDS = tuple(engine_form(_ENGINE, None))
"""The fields of an engine's form."""
_KEY = Key(id="", tenant="", version=1, name="", scopes=(), digest="", created_us=0, updated_us=0)
KEY_FIELDS = tuple(key_form(_KEY))
"""The fields of a key's form."""
_POOL = Pool(id="", tenant="", version=1, spec=PoolSpec(capacity_bytes=0), created_us=0, updated_us=0)
POOL_FIELDS = tuple(pool_form(PoolRoom(_POOL, 0)))
"""The fields of a pool's form."""
_LIMIT = Limit(name="", tenant="", version=1, spec=LimitSpec(), created_us=0, updated_us=0)
LIMIT_FIELDS = tuple(limit_form(LimitRoom(limit=_LIMIT)))
"""The fields of a limit's form."""
_WINDOW = Window(
    id="", tenant="", version=1, engine_id=None, from_us=0, until_us=0, reason="", actor="", updated_us=0
)
WINDOW_FIELDS = tuple(window_form(_WINDOW))
"""The fields of a window's form."""
_ATTEMPT = Attempt(
    job_id="", number=1, tenant="", version=1, generation=1, incarnation="", engine_id="", session="",
    granted_us=0, deadline_us=0, progress_at_us=0,
)  # fmt: skip
ATTEMPT_FIELDS = tuple(attempt_form(_ATTEMPT))
"""The fields of an attempt's form."""
_ROW = Recorded(ref=(RecordType.JOB, ""), tenant="", version=1, at_us=0, actor="", event="", data={})
EVENT_FIELDS = tuple(recorded_form(_ROW))
"""The fields of a history row's form."""

Values = Annotated[tuple[Text, ...], Length(0, 50)]
Time = str | None


@frozen(kw_only=True)
class JobFilter:
    """Which jobs: those that fit every field given. A field that takes several values is fit by any of them.

    Times are RFC 3339 text: since ≤ the job's time < until.
    """

    state: Annotated[tuple[JobState, ...], Length(0, 50)] = ()
    kind: Values = ()
    engine: Values = ()
    account: Values = ()
    campaign: Values = ()
    tenant: Values = ()
    deleted: bool = False
    created_since: Time = None
    created_until: Time = None
    updated_since: Time = None
    updated_until: Time = None

    def query(self, order: str = JOB_ORDERS[0], **rest: Any) -> Query:
        """The query for it in an order of ``JOB_ORDERS``. Raises InvalidCommandError for a time that is none."""
        where: dict[str, tuple[str, ...]] = {
            "state": tuple(state.value for state in self.state),
            "kind": self.kind,
            "engine_id": self.engine,
            "account": self.account,
            "campaign": self.campaign,
            "tenant": self.tenant,
            "deleted": ("yes",) if self.deleted else (),
        }
        return Query(
            where={name: values for name, values in where.items() if values},
            since=self._bounds("since"),
            until=self._bounds("until"),
            sort=_SORTS[order.removeprefix("-")],
            descending=order.startswith("-"),
            **rest,
        )

    def _bounds(self, end: str) -> dict[str, int]:
        given = {name: getattr(self, f"{name}_{end}") for name in ("created", "updated")}
        return {
            f"{name}_us": parse_instant(text, f"/{name}_{end}")
            for name, text in given.items()
            if text is not None
        }


def filter_from_form(data: object, path: str = "") -> JobFilter:
    """A filter from JSON; one value may stand without a list. Raises InvalidCommandError, pointing below ``path``."""
    if isinstance(data, Mapping):
        several = ("state", "kind", "engine", "account", "campaign", "tenant")
        data = {
            name: [each] if name in several and isinstance(each, str) else each for name, each in data.items()
        }
    found = parse(JobFilter, data, path)
    try:
        found.query()
    except InvalidCommandError as error:
        problems = [FieldProblem(path + each.path, each.message) for each in error.problems]
        raise InvalidCommandError(problems) from None
    return found


def checked_fields(names: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """The names, none of them twice. Raises InvalidCommandError for one that is not known, with a hint."""
    problems = [
        FieldProblem("/fields", f"{name[:64]!r} is not a field; {hint(name, known)}")
        for name in names
        if name not in known
    ]
    if problems:
        raise InvalidCommandError(problems)
    return tuple(dict.fromkeys(names))


def hint(name: str, known: Collection[str]) -> str:
    """What somebody who wrote ``name`` may have meant.

    >>> hint("stat", ("id", "state")), hint("x", ("id", "state"))
    ("did you mean 'state'?", 'known: id, state')
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def only(form: Form, fields: Sequence[str]) -> Form:
    """These fields of a form, in their order; all of it if none is named."""
    return {name: form[name] for name in fields} if fields else form
