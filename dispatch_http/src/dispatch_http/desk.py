"""What every resource has at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import falcon
from attrs import Factory, evolve, field, frozen

from dispatch_core import Context, Dispatcher, Job
from dispatch_core.forms import Form, job_form
from dispatch_http.admission import Gate
from dispatch_http.backing_up import Backups
from dispatch_http.body import read_json
from dispatch_http.headers import receipt_key, refuse_conditions
from dispatch_http.heart import Heart
from dispatch_http.settings import HttpSettings


@frozen(kw_only=True)
class Desk:
    """The dispatcher, the settings and the gate; and the request's own view of them."""

    dispatcher: Dispatcher
    settings: HttpSettings
    gate: Gate
    heart: Heart = field(factory=Heart)
    backups: Backups = field(
        default=Factory(lambda self: Backups(self.dispatcher, self.settings), takes_self=True)
    )

    def asking(self, req: falcon.Request) -> Dispatcher:
        """The dispatcher for questions in the caller's name; of a request always the same one."""
        asking: Dispatcher | None = req.context.asking
        if asking is None:
            asking = req.context.asking = self.dispatcher.acting(req.context.caller)
        return asking

    def acting(self, req: falcon.Request, *, conditional: bool = False) -> Dispatcher:
        """The dispatcher for commands in the caller's name, under the request's idempotency key if it has one.

        Raises Refusal if the key is malformed, or if there is a condition the resource does not check.
        """
        if not conditional:
            refuse_conditions(req)
        return self._under(req, receipt_key(req))

    def acting_part(self, req: falcon.Request, part: str) -> Dispatcher:
        """As ``acting``, for one part of a request: under its key and the name of the part. Raises Refusal."""
        refuse_conditions(req)
        key = receipt_key(req)
        return self._under(req, None if key is None else f"{key}#{part}")

    def _under(self, req: falcon.Request, key: str | None) -> Dispatcher:
        if key is None:
            return self.asking(req)
        caller: Context = req.context.caller
        return self.dispatcher.acting(evolve(caller, receipt_key=key))

    def job_form(self, job: Job, fields: Sequence[str] = ()) -> Form:
        """A job as this server shows it, or these fields of it."""
        return job_form(job, attempts_cap=self.dispatcher.settings.attempts_cap, fields=fields)

    def body(self, req: falcon.Request, *, clean: bool = True) -> Any:
        """The JSON body, ``{}`` if there is none. Raises Refusal."""
        return read_json(req, self.settings, clean=clean)
