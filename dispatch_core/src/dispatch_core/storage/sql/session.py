"""A database connection as a transaction sees it, whichever database it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Watch = Callable[[str, int], None]
"""Called with each statement's text and the number of rows of values it was given."""


class Session(Protocol):
    """A connection in use by one transaction at a time. Its errors are ours: StorageError, ConflictError."""

    def rows(self, text: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows of one query."""
        ...

    def write(self, text: str, rows: Sequence[Sequence[object]]) -> int:
        """Execute for every row of values; how many stored rows were touched."""
        ...

    def roll_back(self) -> None:
        """Undo what the transaction wrote; it has ended then, and the session answers questions still."""
        ...
