"""Some fields of records as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dispatch_cli.render.terminal import listing, show


def show_fields(names: Sequence[str], forms: Sequence[Mapping[str, Any]]) -> None:
    """A table with a column for each field that is not empty everywhere."""
    show(listing(names, [[_plain(form[name]) for name in names] for form in forms]))


def _plain(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
