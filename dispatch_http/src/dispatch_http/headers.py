"""Headers: where a request comes from, what it is called, and under which conditions it holds."""

from __future__ import annotations

import re
import time
from random import getrandbits
from typing import Any

import falcon

from dispatch_http.grammar import HOST, RECEIPT_KEY, REQUEST_ID
from dispatch_http.problems import Refusal

_STRONG_TAG = re.compile(r'"([1-9][0-9]{0,18})"')
_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e]*"')
_CONDITIONS = (("If-Match", "HTTP_IF_MATCH"), ("If-Unmodified-Since", "HTTP_IF_UNMODIFIED_SINCE"))
UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class StampedRequest(falcon.Request):
    """A request that has an id from its first moment, whatever refuses it; the caller's id if it is well formed.

    Its ``context`` holds ``request_id``, ``started`` (``perf_counter``), ``actor``, ``client`` (the caller's address),
    ``problem`` (a code or None),
    ``fleet_only`` (the key opens the older fleet's routes and no others), ``recheck`` (raises Refusal if the
    caller's key is not good any more), ``asking`` (the dispatcher in the caller's name, once somebody asked) and,
    once the key is checked, ``caller`` (its Context).
    """

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        super().__init__(env, options)
        given = env.get("HTTP_X_REQUEST_ID")
        well_formed = given is not None and REQUEST_ID.fullmatch(given)
        context = self.context
        context.request_id = given if well_formed else f"{getrandbits(64):016x}"  # a name, no secret
        context.started = time.perf_counter()
        context.actor = "-"
        context.client = self.remote_addr
        context.fleet_only = False
        context.problem = None
        context.recheck = _nothing_ends
        context.asking = None


def _nothing_ends() -> None:
    """The check of a key that cannot end."""


class Stamp:
    """Middleware: gives every answer the headers that all share."""

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """Echo the request id; what is read here is stale the moment it is sent."""
        resp.set_header("X-Request-Id", req.context.request_id)
        resp.set_header("X-Content-Type-Options", "nosniff")
        if not resp.get_header("Cache-Control"):
            resp.set_header("Cache-Control", "no-cache" if resp.etag else "no-store")


class Hygiene:
    """Middleware: refuses requests that two servers could read in two ways, before they are routed."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Check the request line and Host. Servers join repeated headers with a comma, so that shows."""
        env = req.env
        host = env.get("HTTP_HOST")
        if host is None and env.get("SERVER_PROTOCOL") == "HTTP/1.1":
            raise Refusal("invalid-header", "a Host header is required")
        if host is not None and not HOST.fullmatch(host):
            raise Refusal("invalid-header", "Host must be one host with an optional port")
        if not env.get("REQUEST_URI", "/").startswith(("/", "*")):
            raise Refusal("invalid-header", "the request target must be a path")


def receipt_key(req: falcon.Request) -> str | None:
    """The idempotency key. Raises Refusal if it is not 1 to 255 visible ASCII characters."""
    key: str | None = req.env.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not RECEIPT_KEY.fullmatch(key):
        raise Refusal("invalid-header", "Idempotency-Key must have 1 to 255 visible ASCII characters")
    return key


def refuse_conditions(req: falcon.Request) -> None:
    """Raises Refusal if the request has a condition that this resource would not check."""
    for name, variable in _CONDITIONS:
        if variable in req.env:
            raise Refusal(
                "invalid-header", f"{name} is not supported here; PATCH of jobs and pools takes If-Match"
            )


def if_version(req: falcon.Request) -> int | None:
    """The version that If-Match names; None if there is none, or any will do.

    Raises Refusal if it is malformed, weak (which never matches a condition to write) or names several.
    """
    value = req.get_header("If-Match")
    if value is None or value.strip() == "*":
        return None
    tag = _STRONG_TAG.fullmatch(value.strip())
    if tag and int(tag[1]) < 2**63:
        return int(tag[1])
    raise Refusal("invalid-header", 'If-Match must name one version, such as "7", or be *')


def unchanged(req: falcon.Request, version: int) -> bool:
    """Whether If-None-Match names this version (weak comparison, RFC 9110 section 13.1.2)."""
    value = req.get_header("If-None-Match")
    if value is None:
        return False
    return value.strip() == "*" or any(
        tag[0].removeprefix("W/") == f'"{version}"' for tag in _TAG.finditer(value)
    )
