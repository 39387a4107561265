"""Ids: 128 random bits in Crockford base32 behind a readable prefix."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Protocol

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(one + other for one in _ALPHABET for other in _ALPHABET)
_ID_DIGITS = 26
_SECRET_DIGITS = 52
_JOB = "job-"
_SHORT = re.compile(rf"(?:{_JOB})?([{_ALPHABET}]{{4,{_ID_DIGITS - 1}}})")


def crockford(number: int, digits: int = _ID_DIGITS) -> str:
    """``number`` in lower-case Crockford base32, most significant digit first, exactly ``digits`` long."""
    pairs = [_PAIRS[(number >> place) & 1_023] for place in range((digits - 1) // 2 * 10, -1, -10)]
    return "".join(pairs)[-digits:]


def beginning_of_job_id(text: str) -> str | None:
    """The beginning of an id that a text may stand for: at least four of its digits, with or without ``job-``.

    >>> beginning_of_job_id("7k3m"), beginning_of_job_id("job-7k3m9"), beginning_of_job_id("7k3")
    ('job-7k3m', 'job-7k3m9', None)
    """
    found = _SHORT.fullmatch(text)
    return _JOB + found[1] if found else None


class IdSource(Protocol):
    """Where new ids come from; injected, so that tests and simulations repeat to the byte."""

    def new(self, prefix: str) -> str:
        """A fresh id ``<prefix>-<26 base32 digits>``."""
        ...


class RandomIds:
    """Ids from the operating system's random source."""

    def new(self, prefix: str) -> str:
        """A fresh random id."""
        return f"{prefix}-{crockford(secrets.randbits(128))}"


class SeededIds:
    """The same ids for the same seed, whatever PYTHONHASHSEED says."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._count = 0

    def new(self, prefix: str) -> str:
        """The next id of the seeded row."""
        self._count += 1
        digest = hashlib.blake2b(f"{self._seed}:{self._count}".encode(), digest_size=16).digest()
        return f"{prefix}-{crockford(int.from_bytes(digest, 'big'))}"


class SecretSource(Protocol):
    """Where the secrets of keys come from; injected, so that nothing but the shell ever draws one."""

    def new(self) -> str:
        """A fresh secret: 256 bits as 52 base32 digits."""
        ...


class RandomSecrets:
    """Secrets from the operating system's random source."""

    def new(self) -> str:
        """A fresh random secret."""
        return crockford(secrets.randbits(256), _SECRET_DIGITS)
