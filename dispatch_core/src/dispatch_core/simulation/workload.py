"""A workload: what is submitted and when, as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated

from attrs import field, frozen

from dispatch_core.vocabulary.bounds import NAME, Bound, Grammar, Length, problems_of
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError
from dispatch_core.vocabulary.jobs import JOB_MODES, Note

Units = Annotated[float, Bound(1e-6, 1e12)]
Moment = Annotated[float, Bound(0, 366 * 86_400)]
"""Seconds since the beginning of a simulation."""
TaskClass = Annotated[
    str, Length(1, 190), Grammar(r"\S(.*\S)?", "text that neither begins nor ends with a space")
]
Account = Annotated[str, Grammar(rf"|{NAME.pattern}", f"nothing or {NAME.words}"), Length(0, 64)]
Campaign = Annotated[
    str, Grammar(r"|\.*[^/.][^/]*", "without slashes, and not of dots alone"), Length(0, 100)
]
Mode = Annotated[str, Grammar("|".join(("", *JOB_MODES)), f"nothing or {' or '.join(JOB_MODES)}")]
WORKS_MAX = 1_000_000
SUBMIT_MAX = 1_000


@frozen
class Work:
    """One job to come: ``units`` of work as declared, ``work`` units in truth (None: as declared).

    ``deadline_s`` counts from ``at_s``; a ``hard`` one moves the work forward, another is only reported. ``name`` is for people; without one, reports say ``#`` and its place.
    ``campaign`` and ``mode`` are those of the job.
    """

    at_s: Moment
    task_class: TaskClass
    units: Units
    work: Units | None = field(default=None, kw_only=True)
    priority: Annotated[int, Bound(-100, 100)] = field(default=0, kw_only=True)
    account: Account = field(default="", kw_only=True)
    requirements: Annotated[tuple[Annotated[str, Length(1, 300)], ...], Length(0, 31)] = field(
        default=(), kw_only=True
    )
    deadline_s: Moment | None = field(default=None, kw_only=True)
    hard: bool = field(default=False, kw_only=True)
    name: Note = field(default="", kw_only=True)
    campaign: Campaign = field(default="", kw_only=True)
    mode: Mode = field(default="", kw_only=True)

    @property
    def true_units(self) -> float:
        """The work in truth."""
        return self.units if self.work is None else self.work


@frozen
class Workload:
    """Works in any order; equal instants are submitted in the order given. Raises InvalidCommandError."""

    works: tuple[Work, ...]
    name: str = field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        refuse(
            FieldProblem(f"/works/{index}{each.path}", each.message)
            for index, work in enumerate(self.works[:WORKS_MAX])
            for each in problems_of(work)
        )
        if len(self.works) > WORKS_MAX:
            raise InvalidCommandError([FieldProblem("/works", f"must have at most {WORKS_MAX} items")])

    def arrivals(self) -> Iterator[tuple[int, list[int]]]:
        """(µs, places of the works that come then), earliest first, at most 1,000 at a time."""
        places = sorted(range(len(self.works)), key=lambda place: self.works[place].at_s)
        for at_us, group in groupby(places, key=lambda place: to_us(self.works[place].at_s)):
            together = list(group)
            for start in range(0, len(together), SUBMIT_MAX):
                yield at_us, together[start : start + SUBMIT_MAX]


def refuse(problems: Iterable[FieldProblem]) -> None:
    """Raises InvalidCommandError if there are any problems."""
    if found := list(problems):
        raise InvalidCommandError(found)
