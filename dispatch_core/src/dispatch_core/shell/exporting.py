"""All of a list, one page in memory at a time; each page is read when it is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from dispatch_core.ports.storage import Cursor, Page, Query, Recorded
from dispatch_core.vocabulary.jobs import Job


def every_job(page_of: Callable[[Query], Page], query: Query) -> Iterator[Job]:
    """Every job a query finds."""
    while True:
        page = page_of(query)
        yield from (each for each in page.records if isinstance(each, Job))
        if page.next is None:
            return
        query = attrs.evolve(query, after=page.next)


def every_event(
    rows_after: Callable[[Cursor | None], Sequence[Recorded]], after: Cursor | None
) -> Iterator[Recorded]:
    """Every event behind a cursor up to now."""
    while rows := rows_after(after):
        yield from rows
        after = (rows[-1].tx, rows[-1].n)
