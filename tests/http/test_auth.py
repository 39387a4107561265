"""Every route × no key, wrong key, right key: generated from the routes themselves, so a new one is in it."""

import io
from collections.abc import Iterator
from pathlib import Path

import falcon.inspect
import pytest
from falcon.testing import Result, TestClient

from dispatch_core import ADMINS, Dispatcher, SeededIds
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import DispatchApp, create_app
from dispatch_http.observing import make_log
from dispatch_http.resources.system import Live
from dispatch_http.route import OPEN, Route
from dispatch_http.settings import (
    HttpSettings,
    SettingsError,
    api_key,
    is_loopback,
    keys_from_environment,
    keys_from_file,
    refuse_open_door,
)
from tests.http.fleet import PARAMETERS, problem
from tests.http.openapi.described import DescribedClient

KEY = "a-good-key-of-some-length"
OTHER = "another-key-of-some-length"
UNPROTECTED = {
    *((method, path) for method in ("GET", "HEAD") for path in ("/version", "/health/live", "/health/ready")),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
}


def routes() -> list[tuple[str, str]]:
    """Every method and path that the application has, its automatic ones left out."""
    with Dispatcher(MemoryStorage()) as dispatcher:
        app = create_app(dispatcher, log=make_log(io.StringIO()))
        return sorted(
            (method.method, route.path)
            for route in falcon.inspect.inspect_routes(app)
            for method in route.methods
            if not method.internal
        )


ROUTES = routes()


@pytest.fixture
def settings() -> HttpSettings:
    """Two keys at a time, as during a rotation."""
    return HttpSettings(keys=(api_key(KEY, "ops"), api_key(OTHER, "next")))


@pytest.fixture(scope="module")
def guarded() -> Iterator[TestClient]:
    """One application with two keys for every route: what is let in finds nothing to do."""
    log, keys = io.StringIO(), (api_key(KEY, "ops"), api_key(OTHER, "next"))
    with Dispatcher(MemoryStorage(), ids=SeededIds(1)) as dispatcher:
        app = create_app(dispatcher, HttpSettings(keys=keys), log=make_log(log))
        yield DescribedClient(app, headers={"Host": "localhost"})
        assert dispatcher.stats().identity_holds
    assert '"event": "failure"' not in log.getvalue()


def call(client: TestClient, method: str, path: str, **headers: str) -> Result:
    """A request to a route with ids filled in and an empty body."""
    concrete = path.format(
        job_id="job-1",
        engine_id="engine-1",
        number="1",
        key_id="key-1",
        pool_id="nas",
        window_id="w",
        limit_key="l",
        campaign="c",
    )
    return client.simulate_request(method, concrete, headers=headers)


def bearer(key: str) -> str:
    """The header for a key."""
    return f"Bearer {key}"


def test_the_route_table_is_the_one_we_know() -> None:
    """A route that appears here without being expected has not been thought about."""
    assert len(ROUTES) == 74
    assert set(ROUTES) >= UNPROTECTED


def test_a_route_declares_the_scope_of_every_method() -> None:
    """A route whose scope leaves a method out, or names one it has not, cannot be made."""
    with pytest.raises(ValueError, match="scopes"):
        Route("/version", Live(), scope={"GET": OPEN})
    with pytest.raises(ValueError, match="scopes"):
        Route("/version", Live(), scope={"GET": OPEN, "HEAD": OPEN, "POST": ADMINS})


@pytest.mark.checklist(59)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_key_only_the_unprotected_routes_answer(
    guarded: TestClient, method: str, path: str
) -> None:
    """401 and how to ask; health and version are open."""
    answer = call(guarded, method, path)
    if (method, path) in UNPROTECTED:
        assert answer.status_code == 200
    else:
        problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="dispatch"'


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_wrong_key_opens_nothing(client: TestClient, method: str, path: str) -> None:
    """401 invalid_token. Each in its own application, for who guesses keys is soon told to wait."""
    answer = call(client, method, path, Authorization=bearer("a-bad-key-of-some-length"))
    if (method, path) not in UNPROTECTED:
        problem(answer, 401, "unauthorized")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.checklist(60)
@pytest.mark.parametrize("headers", [{"Authorization": bearer(KEY)}, {"X-API-Key": OTHER}])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_right_key_opens_everything(
    guarded: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    """Either key, in either header, is let through to the route."""
    assert call(guarded, method, path, **headers).status_code not in (401, 403, 500)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {KEY}",
        KEY,
        f"Bearer {KEY} x",
        f"Bearer {KEY.upper()}",
        "Bearer é",
        "Bearer \x00",
    ],
)
def test_what_is_no_bearer_key_is_401(client: TestClient, authorization: str) -> None:
    """Nothing but the exact key counts."""
    problem(call(client, "GET", "/jobs", Authorization=authorization), 401, "unauthorized")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}, Bearer {KEY}"},
        {"Authorization": f"Bearer {KEY}, Bearer x"},
        {"Authorization": bearer(KEY), "X-API-Key": KEY},
        {"X-API-Key": f"{KEY}, {KEY}"},
    ],
)
def test_two_keys_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    """400: which of two counts would be a guess, and two servers in a row could guess differently."""
    problem(call(client, "GET", "/jobs", **headers), 400, "invalid-header")


def test_the_scheme_is_case_insensitive(client: TestClient) -> None:
    """RFC 9110: the name of a scheme has no case."""
    assert call(client, "GET", "/jobs", Authorization=f"bearer {KEY}").status_code == 200


def test_history_says_which_key_it_was(client: TestClient) -> None:
    """The actor is the key's name, never the key."""
    headers = {"Authorization": bearer(OTHER)}
    job = client.simulate_post("/jobs", json={"parameters": PARAMETERS}, headers=headers).json
    events = client.simulate_get(f"/jobs/{job['id']}/history", headers=headers)
    assert [event["actor"] for event in events.json["events"]] == ["key:next"]
    assert OTHER not in events.text


def test_a_key_is_never_shown(client: TestClient, log_lines: io.StringIO, settings: HttpSettings) -> None:
    """Not in answers, not in the log, not in the settings' text."""
    answer = call(client, "GET", "/jobs", Authorization=bearer(KEY))
    wrong = call(client, "GET", "/jobs", Authorization=bearer("wrong-key-of-some-length"))
    text = answer.text + wrong.text + log_lines.getvalue() + repr(settings)
    assert KEY not in text
    assert "wrong-key" not in text
    assert settings.keys[0].digest.hex() not in text


# ----- without keys


@pytest.fixture
def keyless(dispatcher: Dispatcher) -> DispatchApp:
    """A server on loopback that was given no key."""
    return create_app(dispatcher, HttpSettings(), log=make_log(io.StringIO()))


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.1.2.3"])
def test_without_keys_this_machine_is_served(keyless: DispatchApp, host: str) -> None:
    """The anonymous caller on loopback may do everything."""
    assert TestClient(keyless).simulate_get("/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["dispatch.example", "localhost.evil.example", "10.0.0.1", "0x7f000001"])
def test_without_keys_a_name_that_was_pointed_here_is_refused(keyless: DispatchApp, host: str) -> None:
    """403: a page whose name resolves to 127.0.0.1 is not this machine's user."""
    problem(TestClient(keyless).simulate_get("/jobs", headers={"Host": host}), 403, "foreign-origin")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9999", ""])
def test_without_keys_other_pages_are_refused(keyless: DispatchApp, origin: str) -> None:
    """403: the browser of this machine's user works for every page it shows."""
    headers = {"Host": "localhost:8080", "Origin": origin}
    answer = TestClient(keyless).simulate_post("/queue/next_job?engine_id=a&session=b", headers=headers)
    problem(answer, 403, "foreign-origin")


def test_without_keys_the_own_page_is_served(keyless: DispatchApp) -> None:
    """A page that came from this server may call it."""
    headers = {"Host": "localhost:8080", "Origin": "http://localhost:8080"}
    assert TestClient(keyless).simulate_get("/jobs", headers=headers).status_code == 200


# ----- settings


@pytest.mark.checklist(56)
@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.5", "dispatch.example", "127.0.0.1.example", ""]
)
def test_a_public_address_needs_a_key(host: str) -> None:
    """The server does not start, and says what to do; a key or an explicit word lets it."""
    with pytest.raises(SettingsError, match="DISPATCH_API_KEY"):
        refuse_open_door(HttpSettings(host=host))
    refuse_open_door(HttpSettings(host=host, insecure=True))
    refuse_open_door(HttpSettings(host=host, keys=(api_key(KEY),)))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9", "LOCALHOST"])
def test_loopback_needs_none(host: str) -> None:
    """Only this machine can reach it."""
    assert is_loopback(host)
    refuse_open_door(HttpSettings(host=host))


@pytest.mark.parametrize("text", ["short", "a" * 15, "with space in it all", "é" * 20, "a,b" * 10, "a" * 513])
def test_an_unfit_key_is_refused_at_start(text: str) -> None:
    """A default or short key is worse than none."""
    with pytest.raises(SettingsError):
        api_key(text)


@pytest.mark.checklist(54)
def test_keys_come_from_the_environment_and_leave_it(tmp_path: Path) -> None:
    """The variable with the key is removed, so that no child inherits it; the file's keys are added."""
    file = tmp_path / "keys"
    file.write_text(f"# who may\n\nops {KEY}\n{OTHER}\n")
    environ = {"DISPATCH_API_KEY": "k" * 20, "DISPATCH_API_KEY_FILE": str(file), "HOME": "/"}
    keys = keys_from_environment(environ)
    assert keys == (api_key("k" * 20), api_key(KEY, "ops"), api_key(OTHER))
    assert "DISPATCH_API_KEY" not in environ
    assert keys_from_environment({}) == ()


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "short\n", "two words aaaaaaaaaaaaaaaaaaaaa\n"])
def test_a_key_file_that_opens_nothing_is_refused(tmp_path: Path, text: str | None) -> None:
    """A server that was meant to have keys must not start without them."""
    file = tmp_path / "keys"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError):
        keys_from_file(file)


@pytest.mark.parametrize(
    "unfit", [{"port": -1}, {"port": 70_000}, {"threads": 1}, {"page_max": 0}, {"wait_max_s": 301}]
)
def test_settings_have_limits(unfit: dict[str, int]) -> None:
    """A value out of range is refused where it is set."""
    with pytest.raises(ValueError):
        HttpSettings(**unfit)  # type: ignore[arg-type]  # every one of these is a number
