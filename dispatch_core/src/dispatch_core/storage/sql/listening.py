"""NOTIFY, as a hint that another server has made work. What is missed is found at the poll floor."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from dispatch_core.ports.storage import EVERYWHERE
from dispatch_core.storage.life import Listeners, Wake
from dispatch_core.storage.sql.postgresql_pool import SESSION, Pool
from dispatch_core.storage.sql.session import Write
from dispatch_core.vocabulary.bounds import text_problem
from dispatch_core.vocabulary.errors import StorageError
from dispatch_core.vocabulary.jobs import Bucket

logger = logging.getLogger(__name__)

CHANNEL = "dispatch_work"
PAYLOAD_MAX = 7_900
"""PostgreSQL carries 8,000 bytes; more buckets than fit are not named, and everybody looks at everything."""
LOOK_S = 1.0
"""How often the thread that listens looks whether it is still wanted."""
RETRY_S = (0.5, 2.0)
_RANDOM = secrets.SystemRandom()


_OPTIONS = f"-c statement_timeout={SESSION['statement_timeout']}"
_NOTIFY = "SELECT pg_notify(given.channel, given.payload) FROM unnest(%b::text[], %b::text[]) AS given(channel, payload)"


class Listener:
    """One connection and one thread, begun when somebody wants to hear, ended when nobody does."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._name = secrets.token_hex(6)
        self._listeners = Listeners()
        self._lock = threading.Lock()
        self._wanted = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def announcing(self, wake: frozenset[Bucket]) -> Sequence[Write]:
        """One NOTIFY for a commit; it is sent if and when the transaction commits."""
        return [(_NOTIFY, [(CHANNEL, payload_of(self._name, wake))])]

    def committed(self, wake: frozenset[Bucket]) -> None:
        """Call those who listen here: what this handle has announced it does not hear."""
        self._listeners.call(wake)

    def add(self, wake: Wake) -> Callable[[], None]:
        """Call ``wake`` from now on, in a thread of its own. Returns how to stop; stopping twice is harmless."""
        stop = self._listeners.add(wake)
        ready = self._begin()
        if ready is not None:
            ready.wait(
                LOOK_S
            )  # what is committed from now on is heard; if the database is away, a little later

        def end() -> None:
            stop()
            self._leave()

        once = threading.Lock()
        return lambda: end() if once.acquire(blocking=False) else None

    def _begin(self) -> threading.Event | None:
        with self._lock:
            self._wanted += 1
            if self._thread is not None:
                return None
            ready, self._ended = threading.Event(), threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._ended, ready), name="dispatch-listener", daemon=True
            )
            self._thread.start()
            return ready

    def _leave(self) -> None:
        with self._lock:
            self._wanted -= 1
            if self._wanted:
                return
            self._ended.set()
            self._thread = None

    def close(self) -> None:
        """End the thread."""
        self._ended.set()

    def _run(self, ended: threading.Event, ready: threading.Event) -> None:
        while not ended.is_set():
            try:
                with self._pool.connect(options=_OPTIONS) as connection:
                    connection.execute(f"LISTEN {CHANNEL}".encode())
                    self._hear(connection, ended, ready)
            except (psycopg.Error, StorageError) as error:
                logger.info(
                    "cannot hear of other servers' work for a moment, the poll floor will do: %s", error
                )
                ended.wait(_RANDOM.uniform(*RETRY_S))

    def _hear(
        self, connection: psycopg.Connection[Any], ended: threading.Event, ready: threading.Event
    ) -> None:
        # Whatever was announced while nobody listened is not said again: look at everything, once.
        self._listeners.call(frozenset({EVERYWHERE}) if ready.is_set() else frozenset())
        ready.set()
        while not ended.is_set():
            for notice in connection.notifies(timeout=LOOK_S, stop_after=1):
                said = heard(notice.payload, self._name)
                self._listeners.call(said)


def payload_of(name: str, wake: frozenset[Bucket]) -> str:
    """What is said of the buckets that gained work; ``name`` is whose work it is.

    >>> payload_of("me", frozenset({("open", "c1")}))
    '["me",[["open","c1"]]]'
    """
    text = json.dumps([name, sorted(wake)], separators=(",", ":"))
    return text if len(text) <= PAYLOAD_MAX else json.dumps([name, [EVERYWHERE]], separators=(",", ":"))


def heard(payload: str, own: str) -> frozenset[Bucket]:
    """The buckets somebody else named; what cannot be read may mean all of them.

    >>> sorted(heard('["you",[["open","c1"]]]', "me")), heard('["me",[["open","c1"]]]', "me")
    ([('open', 'c1')], frozenset())
    """
    try:
        name, buckets = json.loads(payload)
        found = frozenset((lane, class_id) for lane, class_id in buckets)
    except (ValueError, TypeError, RecursionError):
        return frozenset({EVERYWHERE})
    if name == own:
        return frozenset()
    texts = [text for bucket in found for text in bucket]
    # Whoever may connect may notify: what is no text of ours must not reach a statement.
    sound = all(isinstance(text, str) and not text_problem(text) for text in texts)
    return found if sound else frozenset({EVERYWHERE})
