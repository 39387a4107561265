"""Which servers there are, and which of them to ask now."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final, Self
from urllib.parse import urlsplit

from attrs import frozen

from dispatch_cli.exits import CommandFailure, ExitCode

SERVERS_MAX: Final = 16
AWAY_S_MAX: Final = 30.0
"""How long one of several is left alone at most, whatever it asks for: the others may go before it returns."""


@frozen
class Servers:
    """The addresses of servers of one store, in the order in which they are tried; each once, at least one."""

    urls: tuple[str, ...]

    @classmethod
    def parse(cls, *texts: str) -> Self:
        """From texts that name one server or several, apart by commas or spaces. Raises CommandFailure.

        >>> Servers.parse("http://a:8080, http://b:8080/", "http://a:8080").urls
        ('http://a:8080', 'http://b:8080')
        """
        named = [each for text in texts for each in re.split(r"[,\s]+", text) if each]
        urls = tuple(dict.fromkeys(_checked(url) for url in named))
        if not 1 <= len(urls) <= SERVERS_MAX:
            raise _unusable(f"name 1 to {SERVERS_MAX} servers, not {len(urls)}")
        return cls(urls)

    @property
    def local(self) -> bool:
        """Whether all of them are on this machine: a proxy of the environment is not meant for it."""
        return all(_is_loopback(url) for url in self.urls)

    @property
    def trust(self) -> ssl.SSLContext | bool:
        """Whose certificates are taken: those the system trusts; nobody's if no address is https.

        To load the system's takes 20 ms, longer than most commands ask a server.
        """
        return any(urlsplit(url).scheme == "https" for url in self.urls) or ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )

    def __len__(self) -> int:
        return len(self.urls)

    def __iter__(self) -> Iterator[str]:
        return iter(self.urls)

    def __str__(self) -> str:
        return ", ".join(self.urls)


class Rota:
    """Whose turn it is among several servers: one is kept to while it answers, then comes the next. Thread-safe."""

    def __init__(self, servers: Servers, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._urls = servers.urls
        self._clock = clock
        self._lock = threading.Lock()
        self._at = 0
        self._round: dict[str, None] = {}  # who could not, since the last pause or answer
        self._not_before: dict[str, float] = {}
        self._whys: dict[str, str] = {}

    @property
    def url(self) -> str:
        """The one to ask."""
        with self._lock:
            return self._urls[self._at]

    def answered(self, url: str) -> None:
        """That one answers: what the others did is forgotten, except when to come back."""
        with self._lock:
            self._round.clear()
            self._whys.clear()
            self._not_before.pop(url, None)

    def away(self, url: str, why: str, later_s: float | None = None) -> float | None:
        """That one cannot, or asks to come back in ``later_s``. How many seconds to wait before ``url`` is asked.

        0 if that is another one whose turn it is. None if nobody knows, because all of them have been asked in vain:
        the caller's own back-off says. Whoever hears this late moves nobody on again.
        """
        with self._lock:
            now = self._clock()
            self._whys[url] = why
            self._round[url] = None
            self._not_before[url] = now + self._bounded(later_s or 0.0)
            asked = all(each in self._round or self._blocked(each, now) for each in self._urls)
            if asked:
                self._round.clear()
            if url == self._urls[self._at]:
                self._at = self._following(now)
            wait_s = round(self._not_before.get(self._urls[self._at], now) - now, 3)
            if wait_s > 0:
                return wait_s
            return None if asked else 0.0

    def reasons(self) -> list[tuple[str, str]]:
        """Every server with what it last failed with, in order."""
        with self._lock:
            return [(url, self._whys.get(url, "was not asked")) for url in self._urls]

    def _bounded(self, later_s: float) -> float:
        return later_s if len(self._urls) == 1 else min(later_s, AWAY_S_MAX)

    def _blocked(self, url: str, now: float) -> bool:
        return self._not_before.get(url, now) > now

    def _following(self, now: float) -> int:
        """The next in the circle that may be asked now, else the one that may be asked first."""
        count = len(self._urls)
        circle = [(self._at + step) % count for step in range(1, count + 1)]
        return min(circle, key=lambda at: max(self._not_before.get(self._urls[at], now), now))


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise _unusable(f"{url!r} is not the address of a server; write for example http://127.0.0.1:8080")
    return url.rstrip("/")


def _unusable(message: str) -> CommandFailure:
    return CommandFailure("invalid-url", message, exit_code=ExitCode.USAGE)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
