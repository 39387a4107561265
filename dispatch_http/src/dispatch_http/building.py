"""What was built: the version that answers, the commit it was made from, and the forms it speaks."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

from dispatch_http import __version__

API_VERSION = "1"
"""Changes when a client of the HTTP interface would have to."""


@cache
def commit() -> str | None:
    """The commit this was installed from, as the installer noted it (PEP 610); None if it did not."""
    try:
        noted = distribution("dispatch-http").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    return commit_of(noted)


def commit_of(noted: str | None) -> str | None:
    """The commit in the text of a ``direct_url.json``.

    >>> commit_of('{"url": "…", "vcs_info": {"vcs": "git", "commit_id": "50f761f"}}')
    '50f761f'
    """
    found = json.loads(noted or "{}").get("vcs_info", {}).get("commit_id")
    return found if isinstance(found, str) else None


def version_form(schema: str | None) -> dict[str, str | None]:
    """What `GET /version` tells; ``schema`` is that of the store."""
    return {
        "name": "dispatch",
        "version": __version__,
        "commit": commit(),
        "schema": schema,
        "api": API_VERSION,
    }
