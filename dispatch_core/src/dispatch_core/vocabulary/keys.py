"""Keys: what opens the service to somebody else. The store has their digests; the secrets nobody keeps."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Annotated, ClassVar

from attrs import field, frozen

from dispatch_core.vocabulary.bounds import NAME, Length
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.scopes import Scope

KeyId = Annotated[str, Length(1, 64)]
KeyName = Annotated[str, Length(1, 64), NAME]
TenantName = Annotated[str, Length(1, 64), NAME]
_TEXT = re.compile(r"dsp_([a-z0-9-]{1,64})_([a-z0-9]{52})")


@frozen
class Grantable:
    """Marks a scope that a key may have."""

    def check(self, value: object) -> str | None:
        """What is wrong with ``value``, or None."""
        return "cannot be given to a key" if value is Scope.OPERATOR else None


KeyScopes = Annotated[tuple[Annotated[Scope, Grantable()], ...], Length(1, 3)]


@frozen(kw_only=True)
class Key:
    """A key. It is good from its creation until it expires or is revoked.

    After a rotation the former secret is good until ``former_until_us``. A key bound to an engine speaks for
    that engine only.
    """

    record_type: ClassVar[str] = "key"

    id: str
    tenant: str
    version: int
    name: str
    scopes: tuple[Scope, ...]
    engine_id: str | None = None
    digest: str = field(repr=False)
    former_digest: str | None = field(default=None, repr=False)
    former_until_us: int | None = None
    created_us: int
    updated_us: int
    expires_us: int | None = None
    revoked_us: int | None = None

    @property
    def key(self) -> str:
        """The key of its record."""
        return self.id

    @property
    def due_us(self) -> int | None:
        """None: nothing happens when a key expires, it is only not good any more."""
        return None

    def good_at(self, now_us: int) -> bool:
        """Whether it opens anything at an instant."""
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)

    def fits(self, secret: str, now_us: int) -> bool:
        """Whether this is its secret. Takes the same time whatever the secret is."""
        presented = digest_of(secret)
        present = hmac.compare_digest(self.digest, presented)
        former = hmac.compare_digest(self.former_digest or self.digest, presented)
        return present or (former and self.former_until_us is not None and now_us < self.former_until_us)


def context_of(key: Key) -> Context:
    """Who acts with a key, and what it may do."""
    return Context(
        actor=f"key:{key.name}/{key.id}", tenant=key.tenant, scopes=key.scopes, engine_id=key.engine_id
    )


def digest_of(secret: str) -> str:
    """SHA-256 of a secret. Nothing slower is needed: secrets are 256 random bits, there is no dictionary to try."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def key_text(key_id: str, secret: str) -> str:
    """What a caller presents."""
    return f"dsp_{key_id}_{secret}"


def with_text(key: Key, secret: str) -> tuple[Key, str | None]:
    """A key and its text; None if the secret is not its own: to a repeated command the first key answers."""
    return key, key_text(key.id, secret) if key.digest == digest_of(secret) else None


def split_text(text: str) -> tuple[str, str] | None:
    """The id and the secret of what a caller presents; None if it is not the text of a key.

    >>> split_text(key_text("key-1", "0" * 52)) == ("key-1", "0" * 52)
    True
    """
    found = _TEXT.fullmatch(text)
    return (found[1], found[2]) if found else None
