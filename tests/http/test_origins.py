"""Pages of other sites: none may use the server, unless the settings name their origin exactly."""

import pytest
from falcon.testing import TestClient

from dispatch_core import Dispatcher
from dispatch_http.app import create_app
from dispatch_http.settings import HttpSettings, SettingsError, api_key
from tests.http.fleet import problem

KEY = "a-good-key-of-some-length"
BOARD = "https://board.example.org"
OTHER = "https://other.example.org"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}


def page(dispatcher: Dispatcher, origin: str, **settings: object) -> TestClient:
    """A browser that shows a page of this origin."""
    made = HttpSettings(**settings)  # type: ignore[arg-type]  # the test names them
    return TestClient(create_app(dispatcher, made), headers={"Host": "localhost", "Origin": origin})


@pytest.mark.checklist(62)
def test_by_default_no_page_is_let_in(dispatcher: Dispatcher) -> None:
    """No answer carries a header that would let a page read it, and a preflight gets none either."""
    caller = page(dispatcher, BOARD)
    for answer in (caller.simulate_get("/version"), caller.simulate_options("/jobs", headers=PREFLIGHT)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.checklist(62)
def test_a_named_origin_may_read_answers_and_refusals(dispatcher: Dispatcher) -> None:
    """It is told so by its exact name, and may see the headers that clients need; caches are told why."""
    caller = page(dispatcher, BOARD, cors_origins=f"{BOARD},http://localhost:5173", keys=(api_key(KEY),))
    for answer in (
        caller.simulate_get("/status", headers={"Authorization": f"Bearer {KEY}"}),
        caller.simulate_get("/status"),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == BOARD
        assert "Origin" in answer.headers["Vary"]
        exposed = answer.headers["Access-Control-Expose-Headers"]
        assert {"ETag", "Location", "Retry-After"} <= {name.strip() for name in exposed.split(",")}
        assert "Access-Control-Allow-Credentials" not in answer.headers, (
            "keys travel in a header, not cookies"
        )


@pytest.mark.checklist(62)
def test_a_preflight_needs_no_key_and_tells_the_methods(dispatcher: Dispatcher) -> None:
    """Browsers send no key with it; it opens nothing by itself."""
    caller = page(dispatcher, BOARD, cors_origins=BOARD, keys=(api_key(KEY),))
    answer = caller.simulate_options("/jobs/job-1", headers=PREFLIGHT)
    assert answer.status_code == 204
    assert set(answer.headers["Access-Control-Allow-Methods"].split(", ")) == {"GET", "PATCH", "DELETE"}
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization"
    problem(caller.simulate_patch("/jobs/job-1"), 401, "unauthorized")


def test_other_origins_stay_outside(dispatcher: Dispatcher) -> None:
    """Neither their preflights nor their requests are told anything; nor are those of longer names."""
    for origin in (OTHER, BOARD + ".evil.org", "null", BOARD + ":444"):
        caller = page(dispatcher, origin, cors_origins=BOARD)
        answer = caller.simulate_options("/jobs", headers=PREFLIGHT)
        assert "Access-Control-Allow-Origin" not in answer.headers
        answer = caller.simulate_get("/status")
        assert "Access-Control-Allow-Origin" not in answer.headers
        problem(answer, 403, "foreign-origin")
    assert page(dispatcher, BOARD, cors_origins=BOARD).simulate_get("/status").status_code == 200


@pytest.mark.parametrize("origins", ["*", "https://*.example.org", "board.example.org", "null", BOARD + "/"])
def test_only_exact_origins_can_be_named(dispatcher: Dispatcher, origins: str) -> None:
    """A wildcard or a page's address keeps the server from starting."""
    with pytest.raises(SettingsError, match="cors_origins"):
        create_app(dispatcher, HttpSettings(cors_origins=origins))
