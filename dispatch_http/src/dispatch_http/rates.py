"""How often one caller may ask, and how often one address may be wrong about its key."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection

import falcon

from dispatch_http.problems import Refusal
from dispatch_http.settings import HttpSettings

WHO_MAX = 10_000
"""Callers remembered at a time; the one longest unheard of is forgotten first, and starts afresh."""


class Rate:
    """``per_s`` events a second of each caller, ``burst`` at once. Of each it remembers one instant.

    The generic cell rate algorithm (ITU-T I.371), a token bucket without the bucket. The `limits` library
    would do; its store in memory starts a thread, reads the wall clock and remembers callers without limit.
    """

    def __init__(
        self, per_s: float, burst: int, *, clock: Callable[[], float] = time.monotonic, who_max: int = WHO_MAX
    ) -> None:
        self._interval_s = 1 / per_s
        self._slack_s = (burst - 1) / per_s
        self._clock = clock
        self._who_max = who_max
        self._free_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, who: str) -> float:
        """0 if the event is within the rate, and then it counts; else the seconds until one would be."""
        now = self._clock()
        with self._lock:
            free_at = max(now, self._free_at.get(who, now))
            wait_s = free_at - self._slack_s - now
            if wait_s > 1e-9:
                return wait_s
            self._free_at[who] = free_at + self._interval_s
            self._free_at.move_to_end(who)
            if len(self._free_at) > self._who_max:
                self._free_at.popitem(last=False)
            return 0.0


def refuse_beyond(rate: Rate, who: str, what: str) -> None:
    """Count an event of a caller. Raises Refusal (429) if it is beyond the rate."""
    wait_s = rate.wait_s(who)
    if wait_s:
        seconds = str(max(1, math.ceil(wait_s)))
        raise Refusal("rate-limited", f"{what}; wait {seconds} s", headers={"Retry-After": seconds})


def failures_of(settings: HttpSettings) -> Rate:
    """The rate at which one address may present keys that are not good."""
    return Rate(settings.bad_keys_per_minute / 60, settings.bad_keys_per_minute)


class Requests:
    """Middleware, after the check of keys: limits the requests of each key, and of each address without one.

    Not limited are the ``exempt`` paths: health and version, and those of the older fleet, which repeats
    nothing: a report of its engines that is refused is lost. Nor are callers on this machine without keys.
    """

    def __init__(self, settings: HttpSettings, exempt: Collection[str]) -> None:
        per_s = settings.requests_per_s
        self._rate = Rate(per_s, math.ceil(2 * per_s)) if per_s else None
        self._exempt = frozenset(exempt)

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: object
    ) -> None:
        """Count the request. Raises Refusal."""
        actor = req.context.actor
        if self._rate is None or actor == "anonymous-loopback" or req.uri_template in self._exempt:
            return
        who = req.context.client if actor in ("-", "anonymous") else actor
        refuse_beyond(self._rate, who, "these are too many requests")
