"""The forms of what jobs may have to wait for: storage pools and limits by key."""

from __future__ import annotations

from dispatch_core.shell.forms import Form, instant
from dispatch_core.shell.rekeying import RekeyReport
from dispatch_core.vocabulary.bounds import within_64_bits
from dispatch_core.vocabulary.limits import TOKEN, LimitRoom, LimitScope
from dispatch_core.vocabulary.pools import PoolRoom


def pool_form(room: PoolRoom) -> Form:
    """A storage pool: what is said of it, and what is free."""
    pool = room.pool
    return {
        "id": pool.id,
        **{
            name: getattr(pool.spec, name)
            for name in ("url", "capacity_bytes", "used_bytes", "reserve_bytes")
        },
        "reserved_bytes": room.reserved_bytes,
        "free_bytes": within_64_bits(room.free_bytes),
        "note": pool.spec.note,
        "version": pool.version,
        "created_at": instant(pool.created_us),
        "updated_at": instant(pool.updated_us),
    }


def rekey_form(report: RekeyReport) -> Form:
    """What placing jobs anew came to, and where to go on, as text."""
    after = None if report.next is None else f"{report.next[0]}.{report.next[1]}"
    return {"looked": report.looked, "moved": report.moved, "next": after}


def limit_form(room: LimitRoom) -> Form:
    """A limit: what is said of its key, and what is in use of it."""
    limit, spec = room.limit, room.limit.spec
    per_engine = spec.per is LimitScope.ENGINE
    tokens = None if spec.rate_per_s is None or per_engine else room.tokens / TOKEN
    return {
        "key": limit.name,
        "capacity": spec.capacity,
        "rate_per_s": spec.rate_per_s,
        "burst": spec.burst,
        "per": spec.per.value,
        "queued_max": spec.queued_max,
        "in_use": room.in_use,
        "tokens": tokens,
        "note": spec.note,
        "version": limit.version,
        "created_at": instant(limit.created_us),
        "updated_at": instant(limit.updated_us),
    }
