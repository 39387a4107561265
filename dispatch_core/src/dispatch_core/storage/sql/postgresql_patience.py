"""Connections that are given up after a time: a PostgreSQL that stands still keeps them open and says nothing."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

Answer = TypeVar("Answer")

PROMPT_S = 5.0
"""What does nothing but begin or end is answered within this, as a connection is made within ``connect_timeout``."""
MARGIN_S = 5.0
"""How much longer than ``statement_timeout`` its refusal may take to arrive."""


class NoAnswerError(psycopg.OperationalError):
    """The server has said nothing for as long as it is waited for; the connection is closed."""


class PatientConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose every wait ends: with the server's answer, or with a NoAnswerError.

    ``patience_s`` is how long one wait may take; None: for ever. The kernel of a machine whose PostgreSQL is frozen
    still acknowledges what it is sent, so ``tcp_user_timeout`` and keepalives notice nothing; and ``statement_timeout``
    does not end a COMMIT that waits for its standby.
    """

    patience_s: float | None = PROMPT_S

    def wait(self, gen: PQGen[Answer], *more: Any, **named: Any) -> Answer:
        """As psycopg's, which looks several times a second whether it is to go on."""
        if self.patience_s is None:
            return super().wait(gen, *more, **named)
        try:
            return super().wait(_within(self.patience_s, gen), *more, **named)
        except NoAnswerError:
            self.close()  # the answer may still come, and would be taken for the next one's
            raise

    @contextmanager
    def promptly(self) -> Iterator[None]:
        """Wait for less: for what does nothing that could take long."""
        usual = self.patience_s
        self.patience_s = PROMPT_S if usual is None else min(PROMPT_S, usual)
        try:
            yield
        finally:
            self.patience_s = usual

    def wait_for_statements(self) -> None:
        """From now on wait as long as a statement may take here, by the session's own ``statement_timeout``."""
        [(limit_ms,)] = self.execute(_STATEMENT_TIMEOUT).fetchall()
        self.patience_s = limit_ms / 1_000 + MARGIN_S if limit_ms else None


_STATEMENT_TIMEOUT = "SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'"


def _within(patience_s: float, gen: PQGen[Answer]) -> Generator[Any, Any, Answer]:
    """The same, but nobody asks in vain for longer than that."""
    deadline = time.monotonic() + patience_s
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= deadline:
                raise NoAnswerError(f"no answer within {patience_s:g} s, although the connection is open")
            wanted = gen.send(ready)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
