"""The caller's address: the peer's, unless a proxy that is trusted says otherwise. Nobody else's word counts."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.request import Request, urlopen

import pytest
from falcon.testing import Result, TestClient

from dispatch_core import Dispatcher
from dispatch_http.app import create_app
from dispatch_http.observing import make_log
from dispatch_http.proxies import client_of, trusted_networks
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings, SettingsError, api_key
from tests.http.fleet import problem

KEY = "a-good-key-of-some-length"
PROXIES = "10.0.0.0/8, 127.0.0.1, 2001:db8::/32"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "198.51.100.9", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.9, 10.9.9.9", "198.51.100.9"),
        ("10.0.0.1", "10.1.1.1,10.2.2.2", "10.1.1.1"),
        ("10.0.0.1", "198.51.100.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9, 10.2.2.2, <script>", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9, , 10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", "198.51.100.9:4711", "198.51.100.9"),
        ("::ffff:10.0.0.1", "[2001:db9::7]:443", "2001:db9::7"),
        ("2001:db8::1", "2001:DB9::0007", "2001:db9::7"),
        ("", "198.51.100.9", ""),
    ],
)
def test_the_right_most_hop_that_is_not_trusted_is_the_caller(
    peer: str, forwarded: str | None, client: str
) -> None:
    """What stands left of it was written by the caller; what is no address ends the search."""
    assert client_of(peer, forwarded, trusted_networks(HttpSettings(trusted_proxies=PROXIES))) == client


def test_a_network_that_is_none_is_refused_at_the_start(dispatcher: Dispatcher) -> None:
    """A mistyped proxy must not become a trusted one, nor an untrusted one in silence."""
    for wrong in ("proxy.example.org", "10.0.0.1/8", "*"):
        with pytest.raises(SettingsError, match="trusted_proxies"):
            create_app(dispatcher, HttpSettings(trusted_proxies=wrong))


def asking(dispatcher: Dispatcher, log: io.StringIO, trusted: str) -> TestClient:
    """A server that lets each address be wrong about its key once."""
    settings = HttpSettings(keys=(api_key(KEY),), bad_keys_per_minute=1, trusted_proxies=trusted)
    app = create_app(dispatcher, settings, log=make_log(log))
    return TestClient(app, headers={"Host": "localhost", "X-API-Key": "a-bad-key-of-some-length"})


def guess(client: TestClient, peer: str, forwarded: str) -> Result:
    """One guess at a key."""
    return client.simulate_get("/jobs", headers={"X-Forwarded-For": forwarded}, remote_addr=peer)


def clients(log: io.StringIO) -> list[Any]:
    """The addresses in the access log."""
    return [json.loads(line)["client"] for line in log.getvalue().splitlines()]


@pytest.mark.checklist(70)
def test_a_made_up_header_buys_no_more_guesses(dispatcher: Dispatcher, log_lines: io.StringIO) -> None:
    """By default, and from a stranger with proxies set, the header is ignored: limit and log keep the peer."""
    for trusted in ("", "10.0.0.0/8"):
        client = asking(dispatcher, log_lines, trusted)
        problem(guess(client, "192.0.2.1", "198.51.100.1"), 401, "unauthorized")
        problem(guess(client, "192.0.2.1", "198.51.100.2"), 429, "rate-limited")
    assert clients(log_lines) == ["192.0.2.1"] * 4


@pytest.mark.checklist(70)
def test_callers_behind_a_trusted_proxy_are_told_apart(
    dispatcher: Dispatcher, log_lines: io.StringIO
) -> None:
    """One caller's guesses do not shut out another; a caller that forges hops is still one caller."""
    client = asking(dispatcher, log_lines, "10.0.0.0/8")
    problem(guess(client, "10.0.0.1", "198.51.100.1"), 401, "unauthorized")
    problem(guess(client, "10.0.0.1", "198.51.100.2"), 401, "unauthorized")
    problem(guess(client, "10.0.0.1", "198.51.100.9, 198.51.100.1"), 429, "rate-limited")
    assert clients(log_lines) == ["198.51.100.1", "198.51.100.2", "198.51.100.1"]


@pytest.mark.parametrize("trusted", ["", "127.0.0.1"])
def test_the_server_itself_passes_the_header_on_only_if_a_proxy_is_trusted(
    dispatcher: Dispatcher, trusted: str
) -> None:
    """Through the real server, not only through the application."""
    log = io.StringIO()
    settings = HttpSettings(port=0, trusted_proxies=trusted)
    with Server(create_app(dispatcher, settings, log=make_log(log)), dispatcher, settings) as server:
        headers = {"X-Forwarded-For": "203.0.113.5, 198.51.100.9"}
        with urlopen(Request(f"{server.url}/version", headers=headers)) as answer:
            assert answer.status == 200
    logged = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["client"] for line in logged if line["event"] == "request"] == [
        "198.51.100.9" if trusted else "127.0.0.1"
    ]
