"""The kinds of jobs a database of this program may hold, whoever opens it: the server or a command."""

from __future__ import annotations

from typing import Final

from dispatch_core import TRANSCODE, JobKind
from dispatch_http.legacy.kind import DISTCONV

KINDS: Final[tuple[JobKind, ...]] = (TRANSCODE, DISTCONV)
