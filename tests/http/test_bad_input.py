"""Whatever is sent, the answer is a problem that says what is wrong: never a 500, never silence."""

import json
import math

import pytest
from falcon.testing import Result, TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatch_http.settings import HttpSettings
from tests.http.fleet import PARAMETERS, Fleet, problem

JSON = {"Content-Type": "application/json"}


def post(client: TestClient, body: bytes | str, content_type: str | None = "application/json") -> Result:
    """POST /jobs with this body."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    return client.simulate_post("/jobs", body=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        ("{", 1, 2),
        ('{"a": 1,}', 1, 9),
        ('{\n "a" 1}', 2, 6),
        ("{'a': 1}", 1, 2),
        ("\ufeff{}", 1, 1),
        ("{} {}", 1, 4),
    ],
)
def test_broken_json_is_placed(client: TestClient, body: str, line: int, column: int) -> None:
    """400 with the line and the column."""
    (error,) = problem(post(client, body.encode()), 400, "invalid-json")["errors"]
    assert (error["line"], error["column"]) == (line, column)


@pytest.mark.parametrize(
    "body",
    [
        '{"priority": NaN}',
        '{"priority": Infinity}',
        '{"priority": -Infinity}',
        '{"priority": 1e400}',
        '{"priority": 1' + "0" * 5_000 + "}",
        '{"priority": 9223372036854775808}',
        '{"priority": 1, "priority": 2}',
        '{"parameters": {"a": {"b": 1, "b": 1}}}',
        '{"note": "\\ud800"}',
        '{"note": "\\u0000"}',
        '{"\\ud800": 1}',
        '{"a\\u0000": 1}',
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 40 + "1" + "}" * 40,
        "nul",
        "\x00",
        '"\t"',
    ],
    ids=lambda body: body[:30],
)
def test_what_is_no_strict_json_is_refused(client: TestClient, body: str) -> None:
    """400: one reading for every reader, and nothing that some store could not hold."""
    problem(post(client, body), 400, "invalid-json")


def test_bytes_that_are_no_utf8_are_refused(client: TestClient) -> None:
    """400 with the place of the first such byte."""
    form = problem(post(client, b'{"note": "\xff"}'), 400, "invalid-json")
    assert "byte 10" in form["detail"]


def test_a_deep_problem_has_a_pointer(client: TestClient) -> None:
    """The pointer escapes / and ~ as RFC 6901 says."""
    form = problem(post(client, '{"parameters": {"a/b~c": [1, "\\u0000"]}}'), 400, "invalid-json")
    assert form["errors"][0]["pointer"] == "/parameters/a~1b~0c/1"


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "application/xml", "json", "application/jsonx",
     "multipart/form-data", "text/json"],
)  # fmt: skip
def test_a_body_must_say_that_it_is_json(client: TestClient, content_type: str | None) -> None:
    """415: what a page of another site can send without asking is not accepted either."""
    problem(post(client, json.dumps({"parameters": PARAMETERS}), content_type), 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.dispatch+json"]
)
def test_media_types_of_json_are_accepted(client: TestClient, content_type: str) -> None:
    """Parameters, case and a +json suffix do not matter."""
    assert post(client, json.dumps({"parameters": PARAMETERS}), content_type).status_code == 201


def test_an_oversized_body_is_refused(client: TestClient) -> None:
    """413 by what was announced, before anything is parsed."""
    problem(post(client, b" " * (HttpSettings().body_bytes_max + 1)), 413, "content-too-large")


def test_an_oversized_body_is_refused_without_a_length_too(client: TestClient) -> None:
    """413 by what arrives, if the server passes chunks on as they come."""
    answer = client.simulate_post(
        "/jobs",
        body=b" " * (HttpSettings().body_bytes_max + 1),
        headers={**JSON, "Content-Length": ""},
        extras={"wsgi.input_terminated": True},
    )
    problem(answer, 413, "content-too-large")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "job_id",
    [
        "%00",
        "a%00b",
        "%0d%0aX-Evil: 1",
        "A",
        "job_1",
        "é",
        "%ff",
        "x" * 65,
        "%20",
        "a%2e",
        "..",
        "%25",
        "'",
        "*",
    ],
)
def test_an_id_that_no_job_can_have_is_unknown(client: TestClient, method: str, job_id: str) -> None:
    """404 before any store, log or message sees the text."""
    answer = client.simulate_request(method, f"/jobs/{job_id}", json={} if method == "PATCH" else None)
    form = problem(answer, 404, "unknown-job")
    assert "Evil" not in answer.text + form["detail"]


@pytest.mark.parametrize("engine_id", ["%00", "a%0a", "é", "x" * 101, "%20", "a b", "{}", "a,b"])
def test_an_id_that_no_engine_can_have_is_unknown(client: TestClient, engine_id: str) -> None:
    """404 for registrations, too: such an engine cannot exist."""
    answer = client.simulate_put(f"/engines/{engine_id}", json={"session": "s"})
    problem(answer, 404, "unknown-engine")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", "not-found"),
        ("/job", "not-found"),
        ("/jobs/a/b", "not-found"),
        ("/jobs/a/cancel/", "not-found"),
        ("/jobs/", "unknown-job"),
        ("/jobs//cancel", "unknown-job"),
    ],
)
def test_a_path_that_is_none_is_404(client: TestClient, path: str, code: str) -> None:
    """Paths are exact: no slash is added, stripped or merged."""
    problem(client.simulate_get(path), 404, code)


def test_a_method_that_a_path_has_not_is_405(client: TestClient) -> None:
    """405 with the methods it has."""
    answer = client.simulate_put("/jobs", json={})
    problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST", "OPTIONS"}


@pytest.mark.parametrize(
    "host", ["a, b", "localhost:http", "local host", "localhost/..", "", "localhost:1:2"]
)
def test_an_ambiguous_host_is_refused(client: TestClient, host: str) -> None:
    """400: two hosts, or none that can be read."""
    problem(client.simulate_get("/version", headers={"Host": host}), 400, "invalid-header")


def test_a_request_for_another_server_is_refused(client: TestClient) -> None:
    """400: this is no proxy."""
    answer = client.simulate_get("/version", extras={"REQUEST_URI": "http://other.example/version"})
    problem(answer, 400, "invalid-header")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(list(PARAMETERS)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["kind", "parameters", "priority", "size", "requirements", "retry", "timeouts", "not_before", "hold", "note",
          "token", "engine_id", "status", "result", "error", "usage", "reason", "session", "profile", "leases", "until",
          "fraction", "benchmarks"]  # fmt: skip
ROUTES = [("POST", "/jobs"), ("PATCH", "/jobs/{job}"), ("POST", "/jobs/{job}/cancel"), ("POST", "/jobs/{job}/assign"),
          ("PUT", "/jobs/{job}/status"), ("PUT", "/jobs/{job}/progress"), ("POST", "/jobs/{job}/renew"),
          ("PUT", "/engines/any"), ("POST", "/engines/engine-1/heartbeat"),
          ("POST", "/engines/engine-1/benchmarks")]  # fmt: skip


@given(route=st.sampled_from(ROUTES), body=st.dictionaries(st.sampled_from(FIELDS), values, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_makes_the_server_fail(fleet: Fleet, route: tuple[str, str], body: dict[str, object]) -> None:
    """Any JSON under any known field names is answered with success or with a problem, never with 5xx."""
    client = fleet.client
    if client.simulate_get("/engines/engine-1").status_code == 404:
        fleet.running()
    job_id = client.simulate_get("/jobs").json["jobs"][0]["id"]
    method, path = route
    answer = client.simulate_request(
        method, path.format(job=job_id), body=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        problem(answer, answer.status_code, answer.json["code"])


def test_numbers_that_are_whole_count_as_whole(fleet: Fleet) -> None:
    """JSON knows no integers: 3.0 is 3."""
    assert fleet.submit(priority=3.0)["priority"] == 3
    assert math.isclose(fleet.submit(size={"duration_s": 1})["size"]["duration_s"], 1.0)
