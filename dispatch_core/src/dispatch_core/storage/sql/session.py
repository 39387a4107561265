"""A database connection as a transaction sees it, whichever database it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Write = tuple[str, Sequence[Sequence[object]]]
"""A statement and the rows of values it is to be executed for."""
Watch = Callable[[str, int], None]
"""Called with each statement's text and the number of rows of values it was given."""


class Session(Protocol):
    """A connection in use by one transaction at a time. Its errors are ours: StorageError, ConflictError."""

    def rows(self, text: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows of one query."""
        ...

    def write(self, writes: Sequence[Write]) -> list[int]:
        """Execute each for all of its rows of values; how many stored rows each has touched."""
        ...

    def roll_back(self) -> None:
        """Undo what the transaction wrote; it has ended then, and the session answers questions still."""
        ...
