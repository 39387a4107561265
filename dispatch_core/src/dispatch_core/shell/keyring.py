"""The keys that were used a moment ago, so that a request costs no read of the store."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from attrs import frozen

from dispatch_core.ports.storage import Change, Query, Storage
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.errors import StorageError
from dispatch_core.vocabulary.keys import Key, split_text
from dispatch_core.vocabulary.records import RecordType

REMEMBERED_US = SECOND_US
"""How long a key is trusted without another look: what a revocation on another server may take to count."""
_KEYS_MAX = 10_000
_NOBODY = Key(
    id="", tenant="", version=1, name="", scopes=(), digest="0" * 64, created_us=0, updated_us=0, revoked_us=0
)


@frozen
class _Read:
    """A key as it was read, and when, by the store's clock and by the one that is never set."""

    key: Key
    now_us: int
    monotonic_us: int


class Keyring:
    """Keys by their id. Only those that exist are remembered: a new one is good at once, and a flood of
    made-up ones leaves nothing behind.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._mutex = threading.Lock()
        self._known: dict[str, _Read] = {}
        self._locked = False
        self._open_until_us: int | None = None

    def good(self, text: str) -> Key | None:
        """The key whose text this is, if it is good now. What is wrong with another is nobody's business."""
        parts = split_text(text)
        if parts is None:
            return None
        found = self._find(parts[0])
        key, now_us = (_NOBODY, 0) if found is None else (found.key, self._now_us(found))
        return key if key.fits(parts[1], now_us) and key.good_at(now_us) else None

    def _now_us(self, read: _Read) -> int:
        return read.now_us + self._storage.monotonic_us() - read.monotonic_us

    def _find(self, key_id: str) -> _Read | None:
        since_us = self._storage.monotonic_us()  # before the read: it may be overtaken by a revocation
        with self._mutex:
            known = self._known.get(key_id)
        if known is not None and since_us - known.monotonic_us < REMEMBERED_US:
            return known
        ref = (RecordType.KEY, key_id)
        with self._storage.read() as snapshot:
            now_us, key = snapshot.now(), snapshot.load([ref]).get(ref)
        with self._mutex:
            self._known.pop(key_id, None)
            if not isinstance(key, Key):
                return None
            if len(self._known) >= _KEYS_MAX:
                self._known.clear()
            self._known[key_id] = read = _Read(key, now_us, since_us)
        return read

    def locked(self) -> bool:
        """Whether the store has any key, good or not: then callers need one. That never changes back.

        While the store is away the last answer holds: nothing of it can be reached either.
        """
        since_us = self._storage.monotonic_us()
        if not self._locked and (self._open_until_us is None or since_us >= self._open_until_us):
            try:
                if self._any():
                    self._locked = True
            except StorageError:
                if self._open_until_us is None:
                    raise
            else:
                self._open_until_us = since_us + REMEMBERED_US
        return self._locked

    def _any(self) -> bool:
        with self._storage.read() as snapshot:
            return bool(snapshot.find(RecordType.KEY, Query(sort="created_us", limit=1)).records)

    def remember(self, changes: Sequence[Change]) -> None:
        """Look anew at what was just committed here: the own server obeys at once."""
        changed = [ref[1] for ref in (change.ref for change in changes) if ref[0] is RecordType.KEY]
        if changed:
            with self._mutex:
                self._locked = True
                for key_id in changed:
                    self._known.pop(key_id, None)
