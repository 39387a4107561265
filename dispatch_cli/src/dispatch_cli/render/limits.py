"""Limits by key as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch_cli.render.terminal import cell, listing, show

Form = Mapping[str, Any]


def show_limits(page: Form) -> None:
    """A table of limits with what is in use."""
    rows = [_row(limit) for limit in page["limits"]]
    if not rows:
        show(cell("No limits."))
        return
    heads = ("key", "#in use", "#at once", "#per second", "#burst", "#queued", "per", "note")
    show(listing(heads, rows, whole=("key",)))


def _row(limit: Form) -> tuple[str, ...]:
    rate = limit["rate_per_s"]
    numbers = (limit["capacity"], rate, None if rate is None else limit["burst"], limit["queued_max"])
    told = ("" if each is None else f"{each:g}" for each in numbers)
    return (limit["key"], str(limit["in_use"]), *told, limit["per"], limit["note"])
