"""Who is calling, and whether this route is for them. Deny by default: a route that declares nothing is closed."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

import attrs
import falcon

from dispatch_core import Context, Dispatcher, ForbiddenError, Scope, context_of, lowest
from dispatch_http.grammar import BEARER, HOST
from dispatch_http.origins import allowed_origins
from dispatch_http.problems import Refusal
from dispatch_http.rates import failures_of, refuse_beyond
from dispatch_http.route import OPEN, Route
from dispatch_http.settings import ApiKey, HttpSettings, is_loopback

_CHALLENGE = 'Bearer realm="dispatch"'
_EVERYTHING = (Scope.ADMIN, Scope.OPERATOR)
"""What the server's own keys allow: all of the tenant ``default``, and to keep the keys of all tenants."""


class Auth:
    """Sets ``req.context.caller`` and ``actor``, or refuses. Works before the resource, after the route is known."""

    def __init__(self, dispatcher: Dispatcher, settings: HttpSettings, routes: Iterable[Route]) -> None:
        self._dispatcher = dispatcher
        self._routes = {route.path: route for route in routes}
        self._keys = settings.keys
        anonymous = "anonymous-loopback" if settings.loopback else "anonymous"
        self._anonymous = Context(actor=anonymous, scopes=_EVERYTHING)
        self._trusts_host = not settings.loopback
        self._origins = allowed_origins(settings)
        self._failures = failures_of(settings)

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: Mapping[str, object]
    ) -> None:
        """Check the key and its scopes, unless the route is open or there are no keys at all."""
        asked = self._routes[req.uri_template or ""].asks_for(req.method)
        if asked is OPEN:
            return
        presented = _presented(req)
        try:
            found = self._caller(req, presented)
        except Refusal as refusal:
            self._note(req, refusal.problem.code)
            raise
        asks = req.context
        caller = attrs.evolve(found, address=asks.client, request_id=asks.request_id)
        asks.caller, asks.actor = caller, caller.actor
        if not caller.has(asked):
            self._note(req, ForbiddenError.code, caller)
            raise ForbiddenError(f"this needs the scope {lowest(asked)}")

    def _note(self, req: falcon.Request, reason: str, caller: Context | None = None) -> None:
        """Leave a trace of a refusal; of a caller with a key where the admins of its tenant see it."""
        context = caller or Context(actor=req.context.actor, address=req.context.client)
        action = f"{req.method} {req.uri_template}"
        self._dispatcher.denials.note(context, action, reason, private=caller is None)

    def _caller(self, req: falcon.Request, presented: str | None) -> Context:
        if not self._keys and not self._dispatcher.has_keys():
            self._check_site(req)
            return self._anonymous
        if presented is not None:
            own = matching(self._keys, presented)
            if own is not None:
                return Context(actor=f"key:{own.name}", scopes=_EVERYTHING)
            stored = self._dispatcher.authenticate(presented)
            if stored is not None:
                req.context.recheck = lambda: self._recheck(req, presented)
                return context_of(stored)
            # A good key is never held up by the bad ones of its address: they may share a router.
            refuse_beyond(self._failures, req.context.client, "these are too many keys that are not good")
        raise _unauthorized(presented)

    def _recheck(self, req: falcon.Request, presented: str) -> None:
        if self._dispatcher.authenticate(presented) is None:
            self._note(req, "unauthorized")
            raise _unauthorized(presented)

    def _check_site(self, req: falcon.Request) -> None:
        """Without keys, being able to reach this machine is the only credential, and a browser lends it to
        every page it shows. So pages of other sites, and names that were pointed here, are refused.
        """
        named: str = req.env.get("HTTP_HOST", "")
        if not self._trusts_host and not _means_this_machine(named):
            raise Refusal("foreign-origin", "without a key this server answers to localhost only")
        origin = req.env.get("HTTP_ORIGIN")
        if origin is not None and origin not in self._origins and urlsplit(origin).netloc != named:
            raise Refusal("foreign-origin", "without a key this server refuses other sites' pages")


@lru_cache(maxsize=100)
def _means_this_machine(named: str) -> bool:
    """Whether a Host header names this machine, or nothing."""
    host = HOST.fullmatch(named)
    return host is None or is_loopback(host[1])


def _presented(req: falcon.Request) -> str | None:
    """The key text of the request, or None. Two of them are refused: which one counts would be a guess."""
    authorization: str | None = req.env.get("HTTP_AUTHORIZATION")
    legacy: str | None = req.env.get("HTTP_X_API_KEY")
    if authorization is not None and legacy is not None:
        raise Refusal("invalid-header", "send either Authorization or X-API-Key")
    if authorization is None:
        if legacy is not None and ("," in legacy or " " in legacy):
            raise Refusal("invalid-header", "X-API-Key must hold one key")
        return legacy
    if "," in authorization:
        raise Refusal("invalid-header", "send one Authorization header with one key")
    bearer = BEARER.fullmatch(authorization)
    return bearer[1] if bearer else ""


def matching(keys: tuple[ApiKey, ...], presented: str) -> ApiKey | None:
    """The key with this text. Every one is compared, in constant time, whichever matches."""
    digest = hashlib.sha256(presented.encode("utf-8", "replace")).digest()
    matches = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    return matches[0] if matches else None


def _unauthorized(presented: str | None) -> Refusal:
    if presented is None:
        detail, challenge = "send Authorization: Bearer KEY", _CHALLENGE
    else:
        detail, challenge = "this key is not good", f'{_CHALLENGE}, error="invalid_token"'
    return Refusal("unauthorized", detail, headers={"WWW-Authenticate": challenge})
