"""Who asks, for whom, and under which key: the company of every command."""

from __future__ import annotations

from attrs import frozen

DEFAULT_TENANT = "default"


@frozen(kw_only=True)
class Context:
    """Who acts. ``receipt_key`` makes a mutating command idempotent within the tenant."""

    actor: str = "local"
    tenant: str = DEFAULT_TENANT
    request_id: str | None = None
    receipt_key: str | None = None


LOCAL = Context()
CLOCKWORK = Context(actor="tick")
