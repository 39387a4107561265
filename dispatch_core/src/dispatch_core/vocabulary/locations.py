"""Where media lie: a path, or a URL of an allowed scheme. Checked as data; the core never opens any of them."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from attrs import frozen

from dispatch_core.vocabulary.bounds import Length

SCHEMES = ("file", "http", "https")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")

_CONTROL = re.compile("[\x00-\x1f\x7f]")


@frozen
class LocationRule:
    """A path (no scheme), or a URL without user info, tricks in its host, or control characters."""

    def check(self, value: object) -> str | None:
        """What is wrong with ``value``, or None."""
        if not isinstance(value, str):
            return None
        if _CONTROL.search(value):
            return "must not contain control characters"
        scheme, separator, _ = value.partition("://")
        return _url_problem(value, scheme.lower()) if separator else None


def _url_problem(value: str, scheme: str) -> str | None:
    if scheme not in SCHEMES:
        return f"must be a path or a URL of {', '.join(SCHEMES)}, not {scheme}"
    if "\\" in value or " " in value:
        return "must not contain spaces or backslashes in a URL"
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if "@" in parts.netloc:
        return "must not carry a user name or password"
    if scheme == "file":
        return None if host in (None, "", "localhost") else "must name this machine: file:///PATH"
    if not host or not _host_fits(host) or port == 0:
        return "must name a host by its name or its plain address"
    return None


def _host_fits(host: str) -> bool:
    """A name, or an address as everybody writes it: 127.1 and 0x7f000001 are neither."""
    if ":" in host:
        return _is_address(host)
    if not host.isascii() or not _HOST.fullmatch(host) or ".." in host:
        return False
    numeric = re.fullmatch(r"[0-9.]+|0[xX].*", host.rpartition(".")[2])
    return _is_address(host) if numeric else True


def _is_address(host: str) -> bool:
    try:
        return str(ipaddress.ip_address(host)) == host
    except ValueError:
        return False


Location = Annotated[str, Length(1, 2_048), LocationRule()]
