"""Faults: of engines as values; at the store's door a wrapper that fails, or lets somebody else in, around any commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Any

from attrs import frozen

from dispatch_core.ports.storage import Bucket, ChangeSet, Storage, StorageTraits, Transaction
from dispatch_core.vocabulary.errors import StorageUnavailableError


class CommitFault(StrEnum):
    """Where a commit fails. After ``AFTER`` the writes are durable although the caller sees an error."""

    BEFORE = "before"
    AFTER = "after"


@frozen(kw_only=True)
class Mishap:
    """An engine of a ``Fleet`` dies after so many seconds, unheard, and comes back ``down_s`` seconds later.

    ``engine`` is its place in the fleet, counted from 0 and around.
    """

    after_s: float
    engine: int
    down_s: float


class _Watched:
    """A transaction whose ``save`` runs a hook first; everything else is the inner one's."""

    def __init__(self, inner: Transaction, owner: FaultyStorage) -> None:
        self._inner = inner
        self._owner = owner
        self.saved = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def save(self, changes: ChangeSet) -> None:
        """Let the others in, fail if told to, then save."""
        meanwhile, self._owner.meanwhile = self._owner.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if self._owner.take_fault(CommitFault.BEFORE):
            raise StorageUnavailableError("a fault before the commit")
        self._inner.save(changes)
        self.saved = True


class FaultyStorage:
    """A store that does what the next ``fault`` or ``meanwhile`` says, once.

    ``meanwhile`` is called between the reads and the save of the next writing transaction: what another
    server commits there is exactly the interleaving that a lost race needs.
    """

    def __init__(self, inner: Storage) -> None:
        self.inner = inner
        self.fault: CommitFault | None = None
        self.meanwhile: Callable[[], None] | None = None
        self.saves = 0

    def take_fault(self, fault: CommitFault) -> bool:
        """Whether this fault is due now; it happens once."""
        due = self.fault is fault
        self.fault = None if due else self.fault
        return due

    @property
    def traits(self) -> StorageTraits:
        """The inner store's."""
        return self.inner.traits

    @property
    def incarnation(self) -> str:
        """The inner store's."""
        return self.inner.incarnation

    def monotonic_us(self) -> int:
        """The inner store's."""
        return self.inner.monotonic_us()

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction that may fail around its commit."""
        with self.inner.begin() as transaction:
            watched = _Watched(transaction, self)
            yield watched
        self.saves += watched.saved
        if watched.saved and self.take_fault(CommitFault.AFTER):
            raise StorageUnavailableError("a fault after the commit: the writes are durable")

    def read(self) -> AbstractContextManager[Transaction]:
        """The inner store's."""
        return self.inner.read()

    def listen(self, wake: Callable[[frozenset[Bucket]], None]) -> Callable[[], None]:
        """The inner store's."""
        return self.inner.listen(wake)

    def reopen(self) -> None:
        """The inner store's."""
        self.inner.reopen()

    def close(self) -> None:
        """The inner store's."""
        self.inner.close()
