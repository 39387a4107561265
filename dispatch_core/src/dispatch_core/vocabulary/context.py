"""Who asks, for whom, and under which key: the company of every command."""

from __future__ import annotations

from typing import Annotated

from attrs import frozen

from dispatch_core.vocabulary.bounds import Length
from dispatch_core.vocabulary.engines import EngineId
from dispatch_core.vocabulary.scopes import Scope, Scopes

DEFAULT_TENANT = "default"


@frozen(kw_only=True)
class Context:
    """Who acts. ``receipt_key`` makes a mutating command idempotent within the tenant.

    Without ``scopes`` it is the owner of the process, who may do everything; with them, what they allow and
    nothing else. ``engine_id`` binds to one engine: what is said of another is refused. ``address`` is where the
    caller is, for the trail of denied attempts.
    """

    actor: Annotated[str, Length(0, 255)] = "local"
    tenant: Annotated[str, Length(1, 255)] = DEFAULT_TENANT
    request_id: Annotated[str, Length(0, 255)] | None = None
    receipt_key: Annotated[str, Length(1, 300)] | None = None
    scopes: tuple[Scope, ...] | None = None
    engine_id: EngineId | None = None
    address: Annotated[str, Length(0, 255)] | None = None

    def has(self, asked: Scopes) -> bool:
        """Whether one of the scopes asked for is among its own."""
        return self.scopes is None or not asked.isdisjoint(self.scopes)

    @property
    def operates(self) -> bool:
        """Whether the keys of all tenants are its business: an operator's, and the owner's in no tenant's name."""
        return self.tenant == DEFAULT_TENANT if self.scopes is None else Scope.OPERATOR in self.scopes


LOCAL = Context()
CLOCKWORK = Context(actor="tick")
