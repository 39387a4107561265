"""Storage pools as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch_cli.byte_sizes import shown_bytes
from dispatch_cli.render.terminal import cell, listing, pairs, show

Form = Mapping[str, Any]
_SIZES = ("capacity_bytes", "used_bytes", "reserve_bytes", "reserved_bytes", "free_bytes")


def show_pools(page: Form) -> None:
    """A table of pools with what is free."""
    rows = [(pool["id"], *(_size(pool, name) for name in _SIZES), pool["url"]) for pool in page["pools"]]
    if not rows:
        show(cell("No pools."))
        return
    heads = ("id", "#capacity", "#used", "#kept free", "#reserved", "#free", "url")
    show(listing(heads, rows, whole=("id",)))


def show_pool(pool: Form) -> None:
    """Everything about one pool."""
    show(
        pairs(
            [
                ("id", pool["id"]),
                ("url", pool["url"]),
                ("capacity", _size(pool, "capacity_bytes")),
                ("used", _size(pool, "used_bytes")),
                ("kept free", _size(pool, "reserve_bytes")),
                ("reserved", _size(pool, "reserved_bytes")),
                ("free", _size(pool, "free_bytes")),
                ("note", pool["note"]),
            ]
        )
    )


def _size(pool: Form, name: str) -> str:
    return shown_bytes(int(pool[name]))
