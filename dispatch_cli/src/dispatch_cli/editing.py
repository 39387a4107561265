"""Edit part of a job's nested fields: a server takes retry, timeouts, size and parameters whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dispatch_cli.exits import CommandFailure
from dispatch_cli.target import Form, Target

NESTED: Final = ("retry", "timeouts", "size", "parameters")
ROUNDS_MAX: Final = 5


def edit(target: Target, job_id: str, changes: Mapping[str, Any], *, if_version: int | None = None) -> Form:
    """Apply a merge patch (RFC 7396) as if it reached inside the nested fields, too; the job's form.

    Those are completed from the job as it is, and the edit is conditional on that version. If the job changed
    in between, it is read again, unless the caller named a version.
    """
    nested = [name for name in NESTED if isinstance(changes.get(name), Mapping)]
    if not nested:
        return target.edit(job_id, changes, if_version=if_version)
    for left in reversed(range(ROUNDS_MAX)):
        job = target.job(job_id)
        whole = {**changes, **{name: _completed(name, job[name], changes[name]) for name in nested}}
        try:
            return target.edit(job_id, whole, if_version=if_version or job["version"])
        except CommandFailure as failure:
            if failure.code != "version-mismatch" or if_version is not None or left == 0:
                raise
    raise AssertionError("unreachable: the last round returns or raises")


def _completed(name: str, now: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    if name == "size" and "size_mb" in changes:
        now = {measure: value for measure, value in now.items() if measure != "size_bytes"}
    return applied(now, changes)


def applied(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A document with a merge patch applied: null removes.

    >>> applied({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": None}, "e": 4})
    {'a': {'b': 1}, 'd': 3, 'e': 4}
    """
    return merged(document, patch, removing=True)


def merged(first: Mapping[str, Any], second: Mapping[str, Any], *, removing: bool = False) -> dict[str, Any]:
    """Two merge patches as one, the second wins; with ``removing``, null takes a name away.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": None}, "d": 3})
    {'a': {'b': 1, 'c': None}, 'd': 3}
    """
    both = dict(first)
    for name, value in second.items():
        old = both.get(name)
        if removing and value is None:
            both.pop(name, None)
        elif isinstance(value, Mapping) and (isinstance(old, Mapping) or removing):
            both[name] = merged(old if isinstance(old, Mapping) else {}, value, removing=removing)
        else:
            both[name] = value
    return both
