"""A change set as rows: a few bulk statements, each checked for how many rows it touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from attrs import frozen

from dispatch_core.ports.storage import Change, ChangeSet, Recorded
from dispatch_core.shell.wire import dumps
from dispatch_core.storage.sql.checksums import checksum
from dispatch_core.storage.sql.forms import Form, Values, forms_by_type
from dispatch_core.storage.sql.session import Session, Write
from dispatch_core.storage.sql.statements import FormStatements, Words, form_statements
from dispatch_core.vocabulary.records import Record, RecordType, Ref

Written = dict[Ref, tuple[object, Record | None]]
"""What was written: the stamp of each row, and the record (None: it is gone)."""


@frozen(kw_only=True)
class Texts:
    """The statements of a store's forms, compiled once."""

    words: Words
    forms: Mapping[RecordType, Form]
    of: Mapping[RecordType, FormStatements]
    history_insert: str
    history_delete: str
    counter_add: str

    @classmethod
    def compile(cls, forms: Mapping[RecordType, Form], words: Words) -> Texts:
        """All statements for these forms."""
        return cls(
            words=words,
            forms=forms,
            of={record_type: form_statements(form, words) for record_type, form in forms.items()},
            history_insert=words.history_insert(),
            history_delete=words.history_delete(),
            counter_add=words.counter_add(),
        )


@cache
def usual_texts(words: Words) -> Texts:
    """Those of the usual forms. To compile them takes 25 ms, which every store of a process would spend anew."""
    return Texts.compile(forms_by_type(), words)


def write_changes(texts: Texts, changes: Sequence[Change]) -> tuple[list[Write], Written]:
    """The records as writes, each of which must touch as many rows as it has, and what will be written then."""
    written: Written = {}
    batches: dict[str, list[Values]] = {}
    for change in sorted(changes, key=_by_ref):  # all servers in one order, or two would wait for each other
        text, values = _row(texts, change, written)
        batches.setdefault(text, []).append(values)
    return sorted(batches.items()), written


def _by_ref(change: Change) -> Ref:
    return change.ref


def _row(texts: Texts, change: Change, written: Written) -> tuple[str, Values]:
    record_type, key = change.ref
    form, of = texts.forms[record_type], texts.of[record_type]
    before, after = change.before, change.after
    if after is None:
        written[change.ref] = (None, None)
        return of.delete, _as_read(form, key, before)
    if before is not None and form.seldom and form.lean(before, after):
        row = form.lean_values(after)
        written[change.ref] = (row[form.stamp], after)
        return of.update_lean, row[form.key_width :] + _as_read(form, key, before)
    row = form.values(after)
    written[change.ref] = (row[form.stamp], after)
    if before is None:
        return of.insert, row
    return of.update, row[form.key_width : -form.fixed] + _as_read(form, key, before)


def _as_read(form: Form, key: str, before: Record | None) -> Values:
    assert before is not None, "a change needs a record before or after it"
    values = form.split(key)
    assert values is not None, f"{key!r} is not a key of a {form.record_type}"
    return (*values, before.version)


def write_history(texts: Texts, history: Sequence[Recorded], tx: int) -> list[Write]:
    """Append the history of one commit."""
    rows = [
        (tx, n, row.ref[0].value, row.ref[1], row.tenant, row.version, row.at_us, row.actor, row.event,
         dumps(row.data), row.request_id)
        for n, row in enumerate(history)
    ]  # fmt: skip
    return [(texts.history_insert, [(*row, checksum(row)) for row in rows])] if rows else []


def forget_history(texts: Texts, refs: Sequence[Ref]) -> list[Write]:
    """Delete the history of records so far."""
    return [(texts.history_delete, [(record_type.value, key) for record_type, key in refs])] if refs else []


def write_counters(texts: Texts, counters: Mapping[tuple[str, str], int], server: str) -> list[Write]:
    """Add this batch's increments to this server's counters."""
    rows = [(server, *name, add) for name, add in sorted(counters.items())]
    return [(texts.counter_add, rows)] if rows else []


def losers(session: Session, texts: Texts, changes: ChangeSet) -> Iterator[Ref]:
    """The records that are not as they were read; to be asked after the failed save was rolled back."""
    versions: dict[Ref, int] = {}
    for record_type, form in texts.forms.items():
        keys = [change.ref[1] for change in changes.changes if change.ref[0] is record_type]
        rows = session.rows(texts.of[record_type].versions.text, (keys_json(form, keys),)) if keys else []
        versions.update({(record_type, form.join(row)): row[form.key_width] for row in rows})
    for change in changes.changes:
        if versions.get(change.ref) != (None if change.before is None else change.before.version):
            yield change.ref


def keys_json(form: Form, keys: Sequence[str]) -> str:
    """The JSON array that names rows: texts, or arrays where a key has several columns."""
    if form.key_width == 1:
        return dumps(keys)
    return dumps([parts for key in keys if (parts := form.split(key)) is not None])
