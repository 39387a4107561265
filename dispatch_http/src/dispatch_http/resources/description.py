"""The description of the API: as OpenAPI 3.1, and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import falcon
from attrs import frozen

from dispatch_http.openapi.document import document, written
from dispatch_http.parameters import Asked
from dispatch_http.route import Route
from dispatch_http.ui.reference import Page, reference_page

MEDIA_TYPE = "application/vnd.oai.openapi+json;version=3.1"


class Described:
    """The description of a table of routes, made when first asked for: not everybody does."""

    routes: Sequence[Route] = ()

    @cached_property
    def text(self) -> bytes:
        """As JSON."""
        return written(document(self.routes))

    @cached_property
    def page(self) -> Page:
        """As HTML."""
        return reference_page(document(self.routes))


@frozen
class Document:
    """For programs."""

    described: Described

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show it."""
        Asked(req)
        resp.data, resp.content_type = self.described.text, MEDIA_TYPE


@frozen
class DocumentPage:
    """For people. It loads nothing from anywhere, and a browser is told to keep it so."""

    described: Described

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show it."""
        Asked(req)
        page = self.described.page
        resp.data, resp.content_type = page.html, "text/html; charset=utf-8"
        resp.set_header("Content-Security-Policy", page.policy)
        resp.set_header("Referrer-Policy", "no-referrer")
