"""Records: what a store keeps by type and id. A new type costs no adapter anything."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

from attrs import frozen

from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.denials import DenialTrail
from dispatch_core.vocabulary.engines import Engine, EnginePulse
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.keys import Key
from dispatch_core.vocabulary.limits import Ledger, Limit
from dispatch_core.vocabulary.pools import Pool
from dispatch_core.vocabulary.windows import Window


class RecordType(StrEnum):
    """The types of records."""

    JOB = "job"
    ATTEMPT = "attempt"
    ENGINE = "engine"
    PULSE = "pulse"
    RECEIPT = "receipt"
    KEY = "key"
    POOL = "pool"
    WINDOW = "window"
    LIMIT = "limit"
    LEDGER = "ledger"
    DENIALS = "denials"


@frozen(kw_only=True)
class Receipt:
    """The remembered answer to an idempotency key: same key and body, same answer."""

    record_type: ClassVar[str] = "receipt"

    key: str
    tenant: str
    version: int
    fingerprint: str
    answer: Mapping[str, object]
    job_id: str | None
    due_us: int | None


def receipt_id(tenant: str, key: str) -> str:
    """The store's id of a receipt; the length keeps tenant ``a:b`` and key ``c`` from being ``a`` and ``b:c``."""
    return f"{len(tenant)}:{tenant}:{key}"


Record = Job | Attempt | Engine | EnginePulse | Receipt | Key | Pool | Window | Limit | Ledger | DenialTrail
Ref = tuple[RecordType, str]

RECORD_CLASSES: Mapping[RecordType, type] = {
    RecordType.JOB: Job,
    RecordType.ATTEMPT: Attempt,
    RecordType.ENGINE: Engine,
    RecordType.PULSE: EnginePulse,
    RecordType.RECEIPT: Receipt,
    RecordType.KEY: Key,
    RecordType.POOL: Pool,
    RecordType.WINDOW: Window,
    RecordType.LIMIT: Limit,
    RecordType.LEDGER: Ledger,
    RecordType.DENIALS: DenialTrail,
}


_TYPES: Mapping[type, RecordType] = {cls: record_type for record_type, cls in RECORD_CLASSES.items()}


def ref_of(record: Record) -> Ref:
    """The name of a record."""
    return (_TYPES[type(record)], record.key)
