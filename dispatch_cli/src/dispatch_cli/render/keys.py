"""Keys as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dispatch_cli.instants import relative
from dispatch_cli.render.terminal import cell, listing, show

Form = Mapping[str, Any]


def show_keys(page: Form, now: datetime) -> None:
    """A table of keys."""
    rows = [
        (
            key["id"],
            key["name"],
            key["tenant"],
            " ".join(key["scopes"]) + (f" ({key['engine_id']})" if key["engine_id"] else ""),
            relative(key["created_at"], now),
            cell("revoked", "dim") if key["revoked_at"] else relative(key["expires_at"], now),
        )
        for key in page["keys"]
    ]
    if not rows:
        show(cell("No keys."))
        return
    show(listing(("id", "name", "tenant", "scopes", "created", "ends"), rows, whole=("id",)))
