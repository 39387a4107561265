"""Decoded records, so that a row which has not changed is not parsed again."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_core.storage.sql.forms import Form, Row
from dispatch_core.vocabulary.records import Record, RecordType, Ref

CACHED_TYPES = frozenset({RecordType.JOB, RecordType.ATTEMPT, RecordType.ENGINE})


class RecordCache:
    """Records by name and stamp. The row is always read; only its decoding is saved.

    A version is never used twice in one life of a store, so (name, stamp) tells the content; only what was
    committed may be put here, since a version that was rolled back will be used again. Oldest out first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[Ref, tuple[object, Record]] = {}

    def decoded(self, form: Form, row: Row, *, keep: bool) -> Record:
        """The record of a row; ``keep`` it if the row is committed and this is the writer's thread."""
        ref = (form.record_type, form.join(row))
        stamp = row[form.stamp]
        known = self._entries.get(ref)
        if known is not None and known[0] == stamp:
            return known[1]
        record = form.record(row)
        if keep:
            self._put(ref, stamp, record)
        return record

    def committed(self, written: Mapping[Ref, tuple[object, Record | None]]) -> None:
        """Remember what a transaction wrote, once it is committed."""
        for ref, (stamp, record) in written.items():
            self._entries.pop(ref, None)
            if record is not None:
                self._put(ref, stamp, record)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _put(self, ref: Ref, stamp: object, record: Record) -> None:
        if ref[0] not in CACHED_TYPES or not self._limit:
            return
        if len(self._entries) >= self._limit:
            del self._entries[next(iter(self._entries))]
        self._entries[ref] = (stamp, record)
