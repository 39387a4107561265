"""Decides about one key. Of secrets it sees digests only, and those do not enter history."""

from __future__ import annotations

from typing import assert_never

import attrs

from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.commands import CreateKey, KeyCommand, RevokeKey, RotateKey
from dispatch_core.vocabulary.errors import (
    FieldProblem,
    InvalidCommandError,
    UnknownKeyError,
    WrongStateError,
)
from dispatch_core.vocabulary.events import KeyCreated, KeyEvent, KeyRevoked, KeyRotated
from dispatch_core.vocabulary.keys import Key
from dispatch_core.vocabulary.scopes import Scope


def decide_key(key: Key | None, command: RevokeKey | RotateKey, now: int) -> tuple[KeyEvent, ...]:
    """The events a command means for a key. Raises UnknownKeyError, or WrongStateError if it is not good."""
    if key is None:
        raise UnknownKeyError(f"there is no key {command.key_id}")
    match command:
        case RevokeKey():
            return () if key.revoked_us is not None else (KeyRevoked(),)
        case RotateKey():
            if not key.good_at(now):
                raise WrongStateError(f"{key.id} is revoked or has expired; create another key")
            return (KeyRotated(former_until_us=now + to_us(command.overlap_s)),)
        case _:
            assert_never(command)


def decide_new_key(command: CreateKey, key_id: str, tenant: str, now: int) -> KeyCreated:
    """The beginning of a key. Raises InvalidCommandError for what the fields mean together."""
    scopes = tuple(sorted(set(command.scopes)))
    problems = []
    if command.expires_us is not None and command.expires_us <= now:
        problems.append(FieldProblem("/expires_us", "must be in the future"))
    if command.engine_id is not None and scopes != (Scope.ENGINE,):
        problems.append(FieldProblem("/engine_id", "binds a key with the scope engine alone"))
    if problems:
        raise InvalidCommandError(problems)
    return KeyCreated(
        key_id=key_id,
        tenant=tenant,
        name=command.name,
        scopes=scopes,
        engine_id=command.engine_id,
        expires_us=command.expires_us,
    )


def digest_in(command: KeyCommand) -> str | None:
    """The digest a command brings, if it brings one."""
    return None if isinstance(command, RevokeKey) else command.digest


def evolve_key(key: Key | None, event: KeyEvent, at_us: int, digest: str | None) -> Key:
    """The key after an event: one version further. History tells everything of it but the digests."""
    if isinstance(event, KeyCreated):
        return _created(event, at_us, digest)
    assert key is not None
    at_us = max(at_us, key.updated_us)
    key = attrs.evolve(key, version=key.version + 1, updated_us=at_us)
    match event:
        case KeyRevoked():
            return attrs.evolve(key, revoked_us=at_us, former_digest=None, former_until_us=None)
        case KeyRotated():
            assert digest is not None
            return attrs.evolve(
                key, digest=digest, former_digest=key.digest, former_until_us=event.former_until_us
            )
        case _:
            assert_never(event)


def _created(event: KeyCreated, at_us: int, digest: str | None) -> Key:
    assert digest is not None
    return Key(
        id=event.key_id,
        tenant=event.tenant,
        version=1,
        name=event.name,
        scopes=event.scopes,
        engine_id=event.engine_id,
        digest=digest,
        created_us=at_us,
        updated_us=at_us,
        expires_us=event.expires_us,
    )
