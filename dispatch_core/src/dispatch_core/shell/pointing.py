"""Refusals that point at what the caller wrote, where an edge calls a field otherwise than the core does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import attrs

from dispatch_core.vocabulary.errors import InvalidCommandError

TIMES: Mapping[str, str] = {
    "/from_us": "/begins_at",
    "/until_us": "/ends_at",
    "/expires_us": "/expires_at",
}
"""Times as text, by the instants they become."""
RETRIES: Mapping[str, str] = {"/retry/max_attempts": "/max_retries"}

DEADLINE: Mapping[str, str] = {"/deadline/at_us": "/deadline/at"}


@contextmanager
def pointing_at(names: Mapping[str, str]) -> Iterator[None]:
    """Raise an InvalidCommandError of the block with these pointers for those."""
    try:
        yield
    except InvalidCommandError as error:
        problems = [attrs.evolve(each, path=names.get(each.path, each.path)) for each in error.problems]
        raise InvalidCommandError(problems) from None


def names_used(data: object) -> Mapping[str, str]:
    """The pointers of an edit as its form says them: the number of retries has two names."""
    return {**DEADLINE, **RETRIES} if isinstance(data, Mapping) and "max_retries" in data else DEADLINE
