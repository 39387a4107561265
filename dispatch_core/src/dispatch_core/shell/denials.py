"""Denied attempts between two ticks: in memory, bounded, and never in the way of a request."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress

import attrs

from dispatch_core.ports.storage import Storage
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.denials import MORE, OPERATORS_TRAIL, Denied
from dispatch_core.vocabulary.errors import (
    CommandRejectedError,
    ForbiddenError,
    StorageError,
    UnknownEngineError,
    UnknownJobError,
    UnknownKeyError,
    UnknownWindowError,
)
from dispatch_core.vocabulary.records import RecordType

DENIED_MAX = 256
"""Refusals told apart between two writes; more are counted together."""
WRITE_EVERY_S = 10
_UNKNOWN: Mapping[type, RecordType] = {
    UnknownJobError: RecordType.JOB,
    UnknownEngineError: RecordType.ENGINE,
    UnknownKeyError: RecordType.KEY,
    UnknownWindowError: RecordType.WINDOW,
}


class Denials:
    """Counts refusals by who, what, why and from where. ``take`` hands over what there is, now and then."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._mutex = threading.Lock()
        self._counts: dict[Denied, int] = {}
        self._more = 0
        self._next_us: int | None = None

    def note(self, context: Context, action: str, reason: str, *, private: bool = True) -> None:
        """Count a refusal: in the trail that operators read, unless it is no secret from the caller's tenant."""
        tenant = OPERATORS_TRAIL if private else context.tenant
        denied = Denied(
            tenant=tenant,
            actor=context.actor,
            action=action,
            reason=reason,
            address=context.address,
            count=0,
        )
        with self._mutex:
            if denied in self._counts or len(self._counts) < DENIED_MAX:
                self._counts[denied] = self._counts.get(denied, 0) + 1
            else:
                self._more += 1

    def judge(
        self, context: Context, action: str, error: CommandRejectedError, named: Iterable[object]
    ) -> None:
        """Count a refusal of the core if it was a denial. An unknown id that another tenant has is one.

        Whether it has is asked of the store for every unknown id, so that the time taken tells nothing.
        """
        if isinstance(error, ForbiddenError):
            self.note(context, action, error.code, private=False)
        kind = _UNKNOWN.get(type(error))
        refs = [(kind, each) for each in named if isinstance(each, str)] if kind else []
        with suppress(StorageError):
            if refs and self._foreign(refs, context.tenant):
                self.note(context, action, "foreign-id")

    def _foreign(self, refs: list[tuple[RecordType, str]], tenant: str) -> bool:
        with self._storage.read() as snapshot:
            return any(each.tenant != tenant for each in snapshot.load(refs).values())

    def take(self, *, last: bool = False) -> tuple[Denied, ...]:
        """What there is to write, if it is time to, or the ``last`` time; it is the caller's then."""
        now_us = self._storage.monotonic_us()
        with self._mutex:
            early = self._next_us is not None and now_us < self._next_us
            if not (self._counts or self._more) or (early and not last):
                return ()
            self._next_us = now_us + WRITE_EVERY_S * SECOND_US
            taken = [attrs.evolve(denied, count=count) for denied, count in self._counts.items()]
            if self._more:
                taken.append(_more(self._more))
            self._counts, self._more = {}, 0
        return tuple(taken)

    def put_back(self, taken: Iterable[Denied]) -> None:
        """What could not be written: it is counted, and told apart no more."""
        with self._mutex:
            self._more += sum(each.count for each in taken)


def _more(count: int) -> Denied:
    return Denied(tenant=OPERATORS_TRAIL, actor="-", action=MORE, reason=MORE, address=None, count=count)
