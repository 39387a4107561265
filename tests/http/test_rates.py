"""One caller cannot take the server from the others, and is told when to come back."""

import pytest
from falcon.testing import Result, TestClient

from dispatch_core import Dispatcher
from dispatch_http.app import create_app
from dispatch_http.rates import Rate
from dispatch_http.settings import HttpSettings, api_key
from tests.http.fleet import problem

KEY = "a-good-key-of-some-length"
OTHER = "another-key-of-some-length"


def asks(client: TestClient, key: str | None, path: str = "/status") -> Result:
    """A request with a key."""
    return client.simulate_get(path, headers={} if key is None else {"Authorization": f"Bearer {key}"})


@pytest.fixture
def guarded(dispatcher: Dispatcher) -> TestClient:
    """Two keys; each may ask twice at once, and then once in a thousand seconds."""
    settings = HttpSettings(
        keys=(api_key(KEY, "ops"), api_key(OTHER, "next")), requests_per_s=0.001, bad_keys_per_minute=3
    )
    app = create_app(dispatcher, settings)
    return TestClient(app, headers={"Host": "localhost"})


@pytest.mark.checklist(88)
def test_a_key_beyond_its_rate_is_told_when_to_come_back(guarded: TestClient) -> None:
    """429 with Retry-After; other keys and the health of the server are not concerned."""
    assert asks(guarded, KEY).status_code == 200
    answer = asks(guarded, KEY)
    problem(answer, 429, "rate-limited")
    assert 900 < int(answer.headers["Retry-After"]) <= 1000
    assert asks(guarded, OTHER).status_code == 200
    assert asks(guarded, KEY, "/health/ready").status_code == 200


def test_bad_keys_are_limited_by_address_and_good_ones_pass(guarded: TestClient) -> None:
    """Guessing ends in 429 with Retry-After; whoever has a good key is not held up by a neighbour."""
    for _ in range(3):
        problem(asks(guarded, "a-bad-key-of-some-length"), 401, "unauthorized")
    answer = asks(guarded, "a-bad-key-of-some-length")
    problem(answer, 429, "rate-limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert asks(guarded, KEY).status_code == 200
    problem(asks(guarded, None), 401, "unauthorized")


def test_this_machine_without_keys_is_never_limited(dispatcher: Dispatcher) -> None:
    """Nobody is protected from oneself."""
    client = TestClient(
        create_app(dispatcher, HttpSettings(requests_per_s=0.001)), headers={"Host": "localhost"}
    )
    assert {asks(client, None).status_code for _ in range(5)} == {200}


def test_addresses_without_a_key_are_limited_each_by_itself(dispatcher: Dispatcher) -> None:
    """On an open address one caller's noise is not another's."""
    settings = HttpSettings(host="0.0.0.0", insecure=True, requests_per_s=0.001)
    client = TestClient(create_app(dispatcher, settings), headers={"Host": "localhost"})
    seen = [
        client.simulate_get("/status", remote_addr=address).status_code
        for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2")
    ]
    assert seen == [200, 429, 200]


def test_a_rate_is_a_burst_and_then_a_steady_flow() -> None:
    """Of ``burst`` at once all pass, then one each interval; waiting exactly as told is enough."""
    now = 100.0
    rate = Rate(2.0, 3, clock=lambda: now)
    assert [rate.wait_s("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert rate.wait_s("b") == 0.0
    now += 0.5
    assert [rate.wait_s("a"), rate.wait_s("a")] == [0.0, 0.5]
    now += 100.0
    assert [rate.wait_s("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_a_rate_remembers_a_limited_number_of_callers() -> None:
    """Callers that make up names cannot fill the memory; the one longest unheard of starts afresh."""
    rate = Rate(1.0, 1, clock=lambda: 0.0, who_max=2)
    assert [rate.wait_s(who) for who in "abca"] == [0.0, 0.0, 0.0, 0.0]
    assert rate.wait_s("a") > 0
