"""What the upkeep of a store tells: how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import frozen

Tell = Callable[[str, int, int], None]
"""Called now and then with the step, how much of it is done, and how much there is (0: nobody knows)."""

FINDINGS_MAX = 100


def tell_nobody(_step: str, _done: int, _total: int) -> None:
    """For those who do not watch."""


@frozen(kw_only=True)
class Backup:
    """A backup that was taken: a whole store in one file, as it stood at one moment."""

    path: Path
    size_bytes: int


@frozen(kw_only=True)
class Verdict:
    """What a check of every page, row, history and count found. ``findings`` are at most the first hundred.

    ``path`` is the file, or what messages call a database that servers share. ``read`` is false if only the pages were looked at: the schema is older than this program's.
    """

    path: Path | str
    revision: str | None
    read: bool
    counts: Mapping[str, int]
    findings: tuple[str, ...]
    findings_total: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.findings_total == 0


@frozen(kw_only=True)
class Restoration:
    """A restore that was done. ``aside`` is what was there before, None if nothing was."""

    path: Path
    backup: Path
    aside: Path | None
    incarnation: str
    migrated_from: str | None
    verdict: Verdict


@frozen(kw_only=True)
class StoreInfo:
    """What a store's file says of itself, without a look at its content."""

    path: Path
    size_bytes: int
    log_bytes: int
    revision: str | None
    newest_revision: str
    incarnation: str | None
    in_use_by: str | None
    jobs: Mapping[str, int]
    sqlite_version: str


@frozen(kw_only=True)
class Migration:
    """A migration that was done, and the copy of the store as it was. Nothing was to do if both are equal.

    Of a database that servers share no copy is made; ``path`` is what messages call it.
    """

    path: Path | str
    before: str
    after: str
    copy: Path | None


@frozen(kw_only=True)
class SharedInfo:
    """What a database that servers share says of itself, and who is connected: connections by what they call themselves.

    ``oldest_write_s`` is for how long a transaction that writes has been open, anywhere on that database server:
    events committed since are not told before it ends.
    """

    name: str
    size_bytes: int
    revision: str | None
    newest_revision: str
    oldest_program: str | None
    incarnation: str | None
    jobs: Mapping[str, int]
    connected: Mapping[str, int]
    oldest_write_s: float
    server_version: str


@frozen(kw_only=True)
class Renewal:
    """A new life of a database that servers share: no token of ``before`` counts any more."""

    name: str
    before: str | None
    incarnation: str
