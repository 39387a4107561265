"""What is said of one method of a route, and the parameters that many have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from attrs import field, frozen

from dispatch_core import Bound, EngineId, JobState, Length, Text
from dispatch_http import forms
from dispatch_http.openapi import answers
from dispatch_http.openapi.schemas import Instant, Keywords
from dispatch_http.settings import HttpSettings


@frozen
class Parameter:
    """A query parameter; one whose type is a tuple may be given several times, or once with ``commas``."""

    name: str
    kind: Any
    words: str
    required: bool = False
    default: object = None
    commas: bool = False


@frozen(kw_only=True)
class Answer:
    """A success: what it holds, or each of its lines, and which headers it has beside those that all have."""

    kind: Any = None
    lines: Any = None
    media_type: str = "application/json"
    etag: bool = False
    location: str | None = None


@frozen(kw_only=True)
class Operation:
    """One method of a route.

    ``body`` is a class, or several whose fields are given in one object. ``refusals`` are statuses beside
    those that follow from the path, the body and the method. ``condition`` is the header of a condition that
    it checks, ``example`` a body; with ``many`` a list of
    such bodies is taken, too, and lines of them; ``patch`` makes the body a merge patch of the class. ``links`` name operations that may follow, by what fills their parameters.
    """

    name: str
    words: str
    answers: Mapping[int, Answer]
    body: tuple[type, ...] = ()
    many: bool = False
    patch: bool = False
    query: tuple[Parameter, ...] = ()
    refusals: frozenset[int] = frozenset()
    condition: str | None = None
    example: Mapping[str, object] | None = None
    links: Mapping[str, tuple[str, ...]] = field(factory=dict)


def choice(options: Collection[str]) -> Any:
    """The type of a text that is one of some."""
    return Annotated[str, Keywords({"enum": list(options)})]


def flag(name: str, words: str) -> Parameter:
    """A parameter that is true or false, and false if it is not given."""
    return Parameter(name, bool, words, default=False)


def fields(known: Collection[str]) -> Parameter:
    """The parameter by which an answer is cut."""
    names: Any = tuple[choice(known), ...]  # type: ignore[misc]  # a type made at run time
    return Parameter("fields", names, "These fields only.", commas=True)


SETTINGS = HttpSettings()
JOB = {200: Answer(kind=answers.Job, etag=True)}
ENGINE = {200: Answer(kind=answers.Engine, etag=True)}
LINES = "application/x-ndjson"
CONFLICT = frozenset({409})
NOT_ACCEPTABLE = frozenset({406})
REASON = (forms.Because,)
NOTHING = (forms.Nothing,)

LIMIT = Parameter(
    "limit", Annotated[int, Bound(1, SETTINGS.page_max)], "How many a page may hold.", default=100
)
CURSOR = Parameter("cursor", Annotated[str, Length(1, 512)], "`next_cursor` of the page before.")
PLACE = Parameter(
    "cursor",
    Annotated[str, Keywords({"pattern": r"^[0-9]{1,18}\.[0-9]{1,9}$"})],
    "`cursor` of the last event seen.",
)
ENGINE_ID = Parameter("engine_id", EngineId, "The engine that asks.", required=True)
OF_ENGINES = Parameter(
    "engine",
    tuple[Annotated[str, Length(1, 100)], ...],
    "Only jobs that one of these engines has or had last.",
)
FILTERS = (
    Parameter("state", tuple[JobState, ...], "Only jobs in one of these states."),
    Parameter("kind", tuple[Text, ...], "Only jobs of one of these kinds."),
    Parameter(
        "account", tuple[Annotated[str, Length(1, 100)], ...], "Only jobs charged to one of these accounts."
    ),
    Parameter("campaign", tuple[Annotated[str, Length(1, 100)], ...], "Only jobs of one of these campaigns."),
    Parameter("tenant", tuple[Text, ...], "Only jobs of one of these tenants."),
    flag("deleted", "Soft-deleted jobs instead of the others."),
    Parameter("created_since", Instant, "Submitted then or later."),
    Parameter("created_until", Instant, "Submitted before."),
    Parameter("updated_since", Instant, "Changed then or later."),
    Parameter("updated_until", Instant, "Not changed since."),
)
