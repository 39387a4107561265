"""Who calls: the peer, or behind proxies that the settings trust, the caller whom they name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

import falcon

from dispatch_http.settings import HttpSettings, SettingsError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HOP = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)")
"""An address as proxies write it, perhaps with a port."""


def trusted_networks(settings: HttpSettings) -> tuple[Network, ...]:
    """The networks that ``trusted_proxies`` names. Raises SettingsError if one is none."""
    names = filter(None, map(str.strip, settings.trusted_proxies.split(",")))
    return tuple(_network(name) for name in names)


def _network(name: str) -> Network:
    try:
        return ipaddress.ip_network(name)
    except ValueError as error:
        raise SettingsError(
            f"trusted_proxies: {name!r} is no network ({error}); write for example 10.0.0.0/8 or 127.0.0.1"
        ) from None


def client_of(peer: str, forwarded: str | None, trusted: Sequence[Network]) -> str:
    """The right-most hop that is not trusted; what stands left of it is its own word, and worth nothing.

    A hop that is no address ends the search: then it is the last proxy that counts. If all are trusted it is
    the first of them.
    """
    client, hops = peer, (forwarded or "").split(",")
    while hops and _in(client, trusted):
        hop = _address(hops.pop())
        if hop is None:
            break
        client = str(hop)
    return client


def _in(text: str, networks: Sequence[Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> Address | None:
    found = _HOP.fullmatch(text.strip())
    try:
        address = ipaddress.ip_address(next(filter(None, found.groups()))) if found else None
    except ValueError:
        return None
    # A socket for both families shows IPv4 peers like this.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


class Clients:
    """Middleware, before all others: sets ``req.context.client`` where a trusted proxy names it."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Read X-Forwarded-For, if the peer may say it."""
        req.context.client = client_of(req.remote_addr, req.get_header("X-Forwarded-For"), self._trusted)
