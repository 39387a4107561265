"""JSON merge patches (RFC 7396)."""

from __future__ import annotations

from collections.abc import Mapping


def merge_patch(target: object, patch: Mapping[str, object]) -> dict[str, object]:
    """RFC 7396: null removes, objects merge, anything else replaces; what the patch does not name stays."""
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value) if isinstance(value, Mapping) else value
    return merged
