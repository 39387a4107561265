"""Which other sites' pages may use this server from a browser (CORS). None, unless the settings name them."""

from __future__ import annotations

import re
from typing import Any

import falcon

from dispatch_http.route import methods_of
from dispatch_http.settings import HttpSettings, SettingsError

EXPOSED = ("ETag", "Location", "Retry-After", "X-Request-Id")
# RFC 6454: scheme, host and port, in the form a browser sends; no path, no wildcard, never "null".
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


def allowed_origins(settings: HttpSettings) -> frozenset[str]:
    """The origins that ``cors_origins`` names. Raises SettingsError if one is not exact."""
    origins = frozenset(filter(None, map(str.strip, settings.cors_origins.split(","))))
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise SettingsError(
                f"cors_origins: {origin!r} is no exact origin; write for example https://board.example.org"
            )
    return origins


class Origins:
    """Middleware: answers the preflights of pages that are allowed, and lets them read every answer."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins = origins
        self._cors: falcon.CORSMiddleware[Any, Any] = falcon.CORSMiddleware(
            allow_origins=origins, expose_headers=EXPOSED
        )

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: object
    ) -> None:
        """Answer a preflight before anybody asks for its key: browsers send none with it."""
        asks = req.method == "OPTIONS" and req.get_header("Access-Control-Request-Method") is not None
        if asks and req.get_header("Origin") in self._origins:
            resp.set_header("Allow", ", ".join(methods_of(resource)))
            resp.status = 204
            resp.complete = True

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """Say who may read the answer; refusals are to be read, too."""
        resp.append_header("Vary", "Origin")
        self._cors.process_response(req, resp, resource, succeeded)
