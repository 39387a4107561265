"""Who asks, for whom, and under which key: the company of every command."""

from __future__ import annotations

from typing import Annotated

from attrs import frozen

from dispatch_core.vocabulary.bounds import Length

DEFAULT_TENANT = "default"


@frozen(kw_only=True)
class Context:
    """Who acts. ``receipt_key`` makes a mutating command idempotent within the tenant."""

    actor: Annotated[str, Length(0, 255)] = "local"
    tenant: Annotated[str, Length(1, 255)] = DEFAULT_TENANT
    request_id: Annotated[str, Length(0, 255)] | None = None
    receipt_key: Annotated[str, Length(1, 300)] | None = None


LOCAL = Context()
CLOCKWORK = Context(actor="tick")
