"""How each type of record lies in its table. A type without a table of its own lies in ``records``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, String, Table, cast, literal_column

from dispatch_core.ports.storage import QUERY_FIELDS, Scalar
from dispatch_core.shell.wire import dumps, from_plain, loads, plain_without, to_plain
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.checksums import checksum
from dispatch_core.storage.sql.constructs import Field
from dispatch_core.vocabulary.attempts import Attempt, attempt_key
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.records import RECORD_CLASSES, Record, RecordType

CRC = "crc"
"""Beside the fields of a query: the checksum of ``data``."""

Row = Sequence[Any]
Values = tuple[Scalar | float, ...]


@frozen(kw_only=True)
class Form:
    """One type of record as rows of a table.

    ``values`` and ``record`` turn a record into a row and back. A row has the key first (``key_width``
    columns), then the version; the last ``fixed`` columns are written once. The ``seldom`` ones before them
    stay out of an update that is ``lean``: ``lean_values`` are those in front of them.
    The ``stamp`` of a row moves whenever its content does.
    ``split`` gives the values of ``key_columns`` for a key (None: no such key can be), ``join`` the key.
    """

    record_type: RecordType
    table: Table
    values: Callable[[Any], Values]
    record: Callable[[Row], Record]
    fields: Mapping[str, ColumnElement[Any]]
    key_columns: tuple[str, ...]
    key_text: ColumnElement[str]
    split: Callable[[str], Values | None]
    join: Callable[[Row], str]
    key_width: int = 1
    fixed: int
    seldom: int = 0
    lean: Callable[[Any, Any], bool] = lambda _before, _after: False
    lean_values: Callable[[Any], Values] = lambda _record: ()
    stamp: slice = slice(1, 2)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in the order of ``values``."""
        return _names(self.table)


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


# ----- jobs: what queries need as columns, the rest as JSON, the spec as JSON of its own

_JOB_COLUMNS = ("id", "tenant", "version", "state", "engine_id", "created_us", "updated_us", "ready", "spec")


_rest_of = plain_without(Job, *_JOB_COLUMNS)


def job_form() -> Form:
    """Jobs. Their ready columns belong to the stamp: a re-route moves them without a version."""
    columns = schema.jobs.c
    return Form(
        record_type=RecordType.JOB,
        table=schema.jobs,
        values=_job_values,
        record=_job,
        fields={name: _job_column(name) for name in QUERY_FIELDS[RecordType.JOB]},
        key_columns=("id",),
        key_text=columns.id,
        split=lambda key: (key,),
        join=_first,
        fixed=3,
        seldom=3,
        lean=lambda before, after: before.spec is after.spec,
        lean_values=_moving_values,
        stamp=slice(1, 8),
    )


def _job_column(name: str) -> ColumnElement[Any]:
    # The account has no column and no index: few lists ask for it, and those are read by age or state anyway.
    account = Field(schema.jobs.c.spec, "account", numeric=False)
    return account if name == "account" else schema.jobs.c[name]


def _first(row: Row) -> str:
    return str(row[0])


def _job_values(job: Job) -> Values:
    spec = job.spec
    return (
        *_moving_values(job), spec.kind, spec.priority, dumps(to_plain(spec)), job.tenant, job.created_us,
        spec.campaign,
    )  # fmt: skip


def _moving_values(job: Job) -> Values:
    rest = _rest_of(job)
    ready = job.ready
    place: Values = (None, None, None, None, None, None)
    if ready is not None:
        place = (ready.lane, ready.class_id, ready.band, ready.order_key, ready.est_us, ready.weight)
    return (
        job.id, job.version, *place, job.state.value, job.engine_id, "no" if job.deleted_us is None else "yes",
        job.updated_us, job.due_us, dumps(rest) if rest else "{}",
    )  # fmt: skip


def _job(row: Row) -> Record:
    (key, version, lane, class_id, band, order_key, est_us, weight, state, engine_id, _, updated_us, _, data,
     _, _, spec, tenant, created_us, _) = row  # fmt: skip
    plain = loads(data)
    plain.update(
        id=key, version=version, tenant=tenant, state=state, created_us=created_us, updated_us=updated_us,
        spec=loads(spec), engine_id=engine_id,
    )  # fmt: skip
    if lane is not None:
        plain["ready"] = {"lane": lane, "class_id": class_id, "band": band, "order_key": order_key,
                          "est_us": est_us, "weight": weight}  # fmt: skip
    return from_plain(Job, plain)


# ----- attempts: every field a column

_ATTEMPT_COLUMNS = _names(schema.attempts)
_ATTEMPT_JSON = ("progress", "error", "usage")


def attempt_form() -> Form:
    """Attempts. Their key is made of two columns, so that a job's attempts lie side by side."""
    columns = schema.attempts.c
    slash = literal_column("'/'", String)
    return Form(
        record_type=RecordType.ATTEMPT,
        table=schema.attempts,
        values=_attempt_values,
        record=_attempt,
        fields={name: columns[name] for name in QUERY_FIELDS[RecordType.ATTEMPT]},
        key_columns=("job_id", "number"),
        key_text=columns.job_id + slash + cast(columns.number, String),
        split=_split_attempt,
        join=lambda row: attempt_key(row[0], row[1]),
        key_width=2,
        fixed=7,
        stamp=slice(2, 3),
    )


def _attempt_values(attempt: Attempt) -> Values:
    outcome = attempt.outcome
    return (
        attempt.job_id, attempt.number, attempt.version, attempt.deadline_us, attempt.progress_at_us,
        _json_or_none(attempt.progress), attempt.due_us, attempt.run_until_us, attempt.stall_us, attempt.ended_us,
        None if outcome is None else outcome.value, attempt.reported, _json_or_none(attempt.error),
        _json_or_none(attempt.usage), attempt.tenant, attempt.generation, attempt.incarnation, attempt.engine_id,
        attempt.session, attempt.granted_us, attempt.estimate_us,
    )  # fmt: skip


def _json_or_none(value: object) -> str | None:
    return None if value is None else dumps(to_plain(value))


def _attempt(row: Row) -> Record:
    plain = dict(zip(_ATTEMPT_COLUMNS, row, strict=True))
    del plain["due_us"]
    for name in _ATTEMPT_JSON:
        if plain[name] is not None:
            plain[name] = loads(plain[name])
    return from_plain(Attempt, plain)


def _split_attempt(key: str) -> Values | None:
    job_id, _, number = key.rpartition("/")
    if not job_id or len(number) > 18 or not number.isascii() or not number.isdigit():
        return None
    return (job_id, int(number)) if number == str(int(number)) else None


# ----- all others: JSON, with what a query may ask for as JSON beside it


def plain_form(record_type: RecordType, table: Table) -> Form:
    """A type with a table of its own that holds JSON."""
    return Form(
        record_type=record_type,
        table=table,
        values=partial(_plain_values, record_type),
        record=partial(_plain_record, RECORD_CLASSES[record_type]),
        fields=_plain_fields(record_type, table),
        key_columns=("id",),
        key_text=table.c.id,
        split=lambda key: (key,),
        join=_first,
        fixed=1,
    )


def shared_form(record_type: RecordType) -> Form:
    """A type that lies in ``records`` beside others."""
    return Form(
        record_type=record_type,
        table=schema.records,
        values=lambda record: (record_type.value, *_plain_values(record_type, record)),
        record=lambda row: _plain_record(RECORD_CLASSES[record_type], row[1:]),
        fields=_plain_fields(record_type, schema.records),
        key_columns=("type", "id"),
        key_text=schema.records.c.id,
        split=lambda key: (record_type.value, key),
        join=lambda row: str(row[1]),
        key_width=2,
        fixed=1,
        stamp=slice(2, 3),
    )


_NUMBERS = frozenset({"registered_us", "created_us", "from_us", "day"})
"""Fields of a query that are numbers, of the types kept as JSON."""


def _plain_values(record_type: RecordType, record: Record) -> Values:
    asked = {name: of(record) for name, of in QUERY_FIELDS[record_type].items() if name != "tenant"}
    data = dumps(to_plain(record))
    return (
        record.key,
        record.version,
        record.due_us,
        dumps({**asked, CRC: checksum((data,))}),
        data,
        record.tenant,
    )


def _plain_record(cls: type[Record], row: Row) -> Record:
    return from_plain(cls, loads(row[4]))


def _plain_fields(record_type: RecordType, table: Table) -> Mapping[str, ColumnElement[Any]]:
    return {
        name: table.c.tenant if name == "tenant" else Field(table.c.fields, name, numeric=name in _NUMBERS)
        for name in QUERY_FIELDS[record_type]
    }


def forms_by_type(own: Sequence[Form] = ()) -> Mapping[RecordType, Form]:
    """The form of every type: the given ones, the usual ones, and ``records`` for whatever is new."""
    usual = (
        job_form(),
        attempt_form(),
        plain_form(RecordType.ENGINE, schema.engines),
        plain_form(RecordType.PULSE, schema.pulses),
        plain_form(RecordType.RECEIPT, schema.receipts),
    )
    known = {form.record_type: form for form in (*usual, *own)}
    return {each: known.get(each) or shared_form(each) for each in RecordType}
