"""What a caller may do, in three words; and the sets of them that a verb or a route asks for."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """A part somebody plays. A key has one or several of the first three, within its tenant."""

    ADMIN = "admin"
    """Everything of the tenant."""
    SUBMITTER = "submitter"
    """Jobs, and a look at the fleet."""
    ENGINE = "engine"
    """What an engine does: register, show life, claim, report."""
    OPERATOR = "operator"
    """Who runs the service, keys of all tenants included. No key that is kept in the store has it."""


Scopes = frozenset[Scope]
"""Any one of them is enough. Whatever asks for scopes names one of the sets below."""

OPERATORS: Scopes = frozenset({Scope.OPERATOR})
ADMINS: Scopes = OPERATORS | {Scope.ADMIN}
SUBMITTERS: Scopes = ADMINS | {Scope.SUBMITTER}
ENGINES: Scopes = ADMINS | {Scope.ENGINE}
ANYONE: Scopes = frozenset(Scope)
"""Whoever has a good key."""


def lowest(asked: Scopes) -> str:
    """The least that opens something, in words.

    >>> lowest(SUBMITTERS), lowest(SUBMITTERS | ENGINES), lowest(ADMINS), lowest(OPERATORS)
    ('submitter', 'engine or submitter', 'admin', 'operator')
    """
    least = asked - ADMINS or asked - OPERATORS or OPERATORS
    return " or ".join(sorted(least))
