"""The settings of the HTTP server, and the keys that open it."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from attrs import field, frozen
from attrs.validators import ge, in_, le

KEY_VARIABLE = "DISPATCH_API_KEY"
KEY_FILE_VARIABLE = "DISPATCH_API_KEY_FILE"
KEY_CHARS_MIN = 16
# The characters of a bearer token (RFC 6750); what is left out could not be told from a joined duplicate.
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class SettingsError(ValueError):
    """The server cannot run like this; the text says what to change."""


@frozen
class ApiKey:
    """A key by its name and the SHA-256 of its text; the text itself is never kept.

    A plain digest is enough because keys are random: there is no dictionary to try.
    """

    name: str
    digest: bytes = field(repr=False)


def api_key(text: str, name: str = "default") -> ApiKey:
    """The key with this text. Raises SettingsError if it is too short or has characters no header can carry."""
    if len(text) < KEY_CHARS_MIN:
        raise SettingsError(f"API key {name!r} is too short: give at least {KEY_CHARS_MIN} random characters")
    if not _KEY.fullmatch(text):
        raise SettingsError(f"API key {name!r} may hold letters, digits and . _ ~ + / = - only, at most 512")
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r} cannot name a key: use letters, digits and . _ -")
    return ApiKey(name, hashlib.sha256(text.encode("ascii")).digest())


def keys_from_environment(environ: MutableMapping[str, str]) -> tuple[ApiKey, ...]:
    """The keys named by DISPATCH_API_KEY and DISPATCH_API_KEY_FILE.

    The variable that holds a key is removed from ``environ``, so that no child process inherits it.
    Raises SettingsError if a key is unfit or the file cannot be read.
    """
    text = environ.pop(KEY_VARIABLE, None)
    path = environ.get(KEY_FILE_VARIABLE)
    keys = [] if text is None else [api_key(text)]
    return (*keys, *(keys_from_file(Path(path)) if path else ()))


def keys_from_file(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file: one a line, ``KEY`` or ``NAME KEY``; lines that start with # are comments.

    Two keys may be good at the same time, so that one can be replaced without a gap.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the keys in {path}: {error}") from None
    keys = tuple(_keys(lines))
    if not keys:
        raise SettingsError(f"{path} holds no key")
    return keys


def _keys(lines: list[str]) -> Iterator[ApiKey]:
    for line in lines:
        words = line.split()
        if words and not words[0].startswith("#"):
            yield api_key(words[-1], " ".join(words[:-1]) or "default")


@frozen(kw_only=True)
class HttpSettings:
    """How the server listens and what it admits; the period of its tick is the dispatcher's ``tick_s``.

    Of ``threads`` half may be long-polls. ``port`` 0 takes a free one. Without ``keys`` every caller is
    the anonymous local one, which is refused on an address that others can reach unless ``insecure`` says so.
    ``legacy`` serves the older fleet, too, if the dispatcher has its kind; ``legacy_keys`` open its routes only,
    and are refused like no keys at all, for the key that fleet is shipped with is known to everybody.
    """

    server: str = field(default="waitress", validator=in_(("waitress", "granian")))
    host: str = "127.0.0.1"
    port: int = field(default=8080, validator=[ge(0), le(65_535)])
    threads: int = field(default=64, validator=[ge(2), le(1_000)])
    connections_max: int = field(default=1_000, validator=[ge(10), le(100_000)])
    header_bytes_max: int = field(default=32_768, validator=[ge(1_024), le(1 << 20)])
    body_bytes_max: int = field(default=1 << 20, validator=[ge(1_024), le(1 << 30)])
    lines_bytes_max: int = field(default=1 << 26, validator=[ge(1_024), le(1 << 34)])
    json_depth_max: int = field(default=32, validator=[ge(1), le(100)])
    page_max: int = field(default=1_000, validator=[ge(1), le(10_000)])
    wait_max_s: float = field(default=60.0, validator=[ge(0), le(300)])
    drain_grace_s: float = field(default=20.0, validator=[ge(0.1), le(3_600)])
    receive_s: float = field(default=15.0, validator=[ge(0.1), le(3_600)])
    idle_close_s: int = field(default=120, validator=[ge(1), le(3_600)])
    requests_per_s: float = field(default=500.0, validator=[ge(0), le(1_000_000)])
    bad_keys_per_minute: int = field(default=30, validator=[ge(1), le(1_000_000)])
    cors_origins: str = ""
    trusted_proxies: str = ""
    tls_cert: str | None = None
    tls_key: str | None = None
    backup_dir: str | None = None
    backup_keep: int = field(default=7, validator=[ge(1), le(10_000)])
    backup_every_s: float = field(default=0.0, validator=[ge(0), le(366 * 86_400)])
    keys: tuple[ApiKey, ...] = ()
    legacy: bool = True
    legacy_keys: tuple[ApiKey, ...] = ()
    insecure: bool = False
    log_json: bool = True
    log_grants_every: int = field(default=20, validator=[ge(0), le(1_000_000)])

    @property
    def waits_max(self) -> int:
        """How many claims may wait at a time."""
        return self.threads // 2

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach ``host``."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address, with or without brackets, means this machine only."""
    bare = host.strip("[]").lower()
    if bare == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def refuse_open_door(settings: HttpSettings, *, locked: bool = False) -> None:
    """Raises SettingsError if strangers could reach the server without a key; ``locked``: the store has keys."""
    if settings.insecure or settings.loopback:
        return
    if settings.legacy_keys:
        raise SettingsError(
            f"refusing to listen on {settings.host!r} with a key for the older fleet: its key is known to everybody. "
            "Listen on 127.0.0.1, or give that fleet keys of its own, or say explicitly that it is insecure"
        )
    if settings.keys or locked:
        return
    raise SettingsError(
        f"refusing to listen on {settings.host!r} without a key: anyone who can reach it could run jobs. "
        f"Set {KEY_VARIABLE} or {KEY_FILE_VARIABLE}, or listen on 127.0.0.1, or say explicitly that it is insecure"
    )
