"""All that this agent works on at the moment."""

from __future__ import annotations

import threading

from dispatch_cli.agent.work import Work


class Hand:
    """A thread-safe set of works, at most ``slots``."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._changed = threading.Condition()
        self._works: dict[tuple[str, str], Work] = {}

    def take(self, work: Work) -> None:
        """Hold a work until its end."""
        with self._changed:
            self._works[work.lease.job_id, work.lease.token] = work
            self._changed.notify_all()

    def drop(self, work: Work) -> None:
        """Its end."""
        with self._changed:
            self._works.pop((work.lease.job_id, work.lease.token), None)
            self._changed.notify_all()

    def works(self) -> list[Work]:
        """What is held now."""
        with self._changed:
            return list(self._works.values())

    def find(self, job_id: str, token: str) -> Work | None:
        """The work on one lease."""
        with self._changed:
            return self._works.get((job_id, token))

    def await_room(self, timeout_s: float) -> bool:
        """Whether, within the time, a slot was free."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._works) < self._slots, timeout_s)

    def await_empty(self, timeout_s: float) -> bool:
        """Whether, within the time, nothing was held."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._works, timeout_s)
