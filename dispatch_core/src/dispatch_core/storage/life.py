"""The name of one life of a store, and the calling of those who listen to it."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable

from dispatch_core.vocabulary.ids import crockford
from dispatch_core.vocabulary.jobs import Bucket

logger = logging.getLogger(__name__)

Wake = Callable[[frozenset[Bucket]], None]


def new_incarnation() -> str:
    """A name for one life of a store: 60 random bits, short because every token carries it."""
    return crockford(secrets.randbits(60), 12)


class Listeners:
    """Who wants to know of buckets that gained work. Called after commit, in the committing thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakes: dict[object, Wake] = {}

    def add(self, wake: Wake) -> Callable[[], None]:
        """Call ``wake`` from now on. Returns how to stop; stopping twice is harmless."""
        name = object()
        with self._lock:
            self._wakes[name] = wake

        def stop() -> None:
            with self._lock:
                self._wakes.pop(name, None)

        return stop

    def call(self, buckets: frozenset[Bucket]) -> None:
        """Tell everybody. A listener that fails is logged: the commit it hears of has already happened."""
        if not buckets or not self._wakes:
            return
        with self._lock:
            wakes = list(self._wakes.values())
        for wake in wakes:
            try:
                wake(buckets)
            except Exception:
                logger.exception("a listener of the store failed")
