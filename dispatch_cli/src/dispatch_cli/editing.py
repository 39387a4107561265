"""Joins merge patches (RFC 7396): what flags say and what a file says become one edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two merge patches as one, the second wins.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": None}, "d": 3})
    {'a': {'b': 1, 'c': None}, 'd': 3}
    """
    both = dict(first)
    for name, value in second.items():
        old = both.get(name)
        nested = isinstance(value, Mapping) and isinstance(old, Mapping)
        both[name] = merged(old, value) if nested else value  # type: ignore[arg-type]  # both are mappings then
    return both
