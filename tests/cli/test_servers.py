"""Which servers there are, and whose turn it is."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.servers import AWAY_S_MAX, SERVERS_MAX, Rota, Servers

A, B, C = "http://a", "http://b:8080", "https://c"


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    "texts",
    [(A, B), (f"{A},{B}",), (f" {A} ,  {B}/\n",), (f"{A} {B}",), (A, f"{B},{A}"), (f"{A}/", f"{A},,{B}")],
)
def test_servers_are_named_in_many_ways(texts: tuple[str, ...]) -> None:
    """One by one or in one text, apart by commas or blanks, with or without a slash: two servers in this order."""
    assert Servers.parse(*texts) == Servers((A, B))


def test_servers_show_as_they_are_named() -> None:
    """What is shown can be read again."""
    servers = Servers.parse(A, B, C)
    assert Servers.parse(str(servers)) == servers
    assert (len(servers), list(servers)) == (3, [A, B, C])


@pytest.mark.parametrize(
    "texts",
    [(), ("",), (" , ",), ("ftp://a",), ("a:8080",), (A, "http://"), (f"{A},b",),
     tuple(f"http://a:{port}" for port in range(1, SERVERS_MAX + 2))],
)  # fmt: skip
def test_what_names_no_server_is_a_mistake_of_the_command_line(texts: tuple[str, ...]) -> None:
    """None, too many, or one that cannot be an address."""
    with pytest.raises(CommandFailure) as caught:
        Servers.parse(*texts)
    assert (caught.value.code, caught.value.exit_code) == ("invalid-url", ExitCode.USAGE)


def test_only_servers_of_this_machine_are_local() -> None:
    """One that is elsewhere may need the proxy of the environment."""
    here = ("http://127.0.0.1:1", "http://localhost:2", "http://[::1]:3")
    assert Servers.parse(*here).local
    assert not Servers.parse(*here, A).local


def test_a_server_is_kept_to_while_it_answers() -> None:
    """Nobody returns to the first for being the first."""
    rota = Rota(Servers.parse(A, B))
    assert rota.url == A
    assert rota.away(A, "refused") == 0.0
    rota.answered(B)
    assert rota.url == B
    assert rota.reasons() == [(A, "was not asked"), (B, "was not asked")]


def test_a_round_of_failures_ends_in_a_pause() -> None:
    """Each is asked once without a wait; then the caller's back-off decides, and all are asked again."""
    rota = Rota(Servers.parse(A, B, C))
    for _ in range(3):
        assert [rota.away(rota.url, "refused") for _ in range(3)] == [0.0, 0.0, None]
        assert rota.url == A
    assert dict(rota.reasons()) == {A: "refused", B: "refused", C: "refused"}


def test_who_asked_for_time_is_left_alone(clock: Clock) -> None:
    """Others are asked meanwhile; if all want time, the first to be ready is waited for, no longer than it said."""
    rota = Rota(Servers.parse(A, B, C), clock=clock)
    assert rota.away(A, "busy", 30.0) == 0.0
    assert rota.away(B, "refused") == 0.0
    assert (rota.away(C, "refused"), rota.url) == (None, B)
    assert rota.away(B, "busy", 7.0) == 0.0
    assert (rota.away(C, "busy", 9.0), rota.url) == (7.0, B)
    clock.now += 7.0
    assert (rota.away(B, "busy", 600.0), rota.url) == (2.0, C)
    clock.now += 2.0
    rota.answered(C)
    assert (rota.away(C, "refused"), rota.url) == (None, C), "the others still want their time"
    assert (rota.away(C, "busy", 60.0), rota.url) == (21.0, A)


def test_one_of_several_is_not_left_alone_for_long(clock: Clock) -> None:
    """It may be back long before the time it asked for, when the others are gone."""
    rota = Rota(Servers.parse(A, B), clock=clock)
    rota.away(A, "busy", 86_400.0)
    assert rota.away(B, "busy", 86_400.0) == AWAY_S_MAX


def test_one_server_alone_is_waited_for_as_it_asks(clock: Clock) -> None:
    """With one server there is nobody else: its own word counts, or the back-off."""
    rota = Rota(Servers.parse(A), clock=clock)
    assert rota.away(A, "busy", 7.0) == 7.0
    assert rota.away(A, "busy", 0.0) is None
    assert rota.away(A, "refused") is None


def test_who_is_late_moves_nobody_on() -> None:
    """Several threads see the same server die: together they move on once, not back to the dead."""
    rota = Rota(Servers.parse(A, B))
    for _ in range(3):
        assert rota.away(A, "reset") == 0.0
        assert rota.url == B


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.none() | st.integers(0, 5), st.floats(0, 3)), max_size=60),
)
def test_nobody_is_asked_in_a_hurry_for_ever(count: int, failures: list[tuple[int | None, float]]) -> None:
    """Between two pauses no server is asked twice, and nobody before the time it asked for, if nobody answers."""
    clock = Clock()
    servers = Servers(tuple(f"http://s{number}" for number in range(count)))
    rota = Rota(servers, clock=clock)
    asked: list[str] = []
    not_before: dict[str, float] = {}
    for later_s, passing in failures:
        url = rota.url
        assert clock.now >= not_before.get(url, 0) - 0.001
        assert url not in asked
        asked.append(url)
        not_before[url] = clock.now + (later_s or 0)
        wait_s = rota.away(url, "no", later_s)
        if wait_s is None or wait_s > 0:
            asked.clear()
            clock.now += wait_s or passing


def test_certificates_are_checked_where_there_are_any() -> None:
    """One https address is enough for the system's authorities; without one nobody's certificate would be taken."""
    assert Servers.parse("http://a", "HTTPS://b").trust is True
    trust = Servers.parse("http://a").trust
    assert isinstance(trust, ssl.SSLContext)
    assert (trust.verify_mode, trust.check_hostname, trust.get_ca_certs()) == (ssl.CERT_REQUIRED, True, [])
