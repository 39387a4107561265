"""The description of the API says what the code does: it is made from it, and held against it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from falcon.testing import Result, TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from dispatch_core.forms import (
    ATTEMPT_FIELDS,
    ENGINE_FIELDS,
    EVENT_FIELDS,
    JOB_FIELDS,
    KEY_FIELDS,
    LIMIT_FIELDS,
    POOL_FIELDS,
    WINDOW_FIELDS,
)
from dispatch_http.openapi.operations import OPERATIONS
from docs.generate import OPENAPI, openapi
from tests.http.fleet import Fleet, problem
from tests.http.test_access import MATRIX, OLDER
from tests.http.test_auth import ROUTES, UNPROTECTED

DOCUMENT: dict[str, Any] = json.loads(OPENAPI.read_bytes())
SCHEMAS = DOCUMENT["components"]["schemas"]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every method and path with what is said of it."""
    for path, said in DOCUMENT["paths"].items():
        for method, operation in said.items():
            if method != "parameters":
                yield method.upper(), path, operation


def properties(name: str) -> dict[str, Any]:
    """The fields of a schema."""
    return dict(SCHEMAS[name]["properties"])


@pytest.mark.checklist(90)
def test_the_committed_document_is_what_the_code_gives_now() -> None:
    """Generated, byte for byte."""
    assert OPENAPI.read_bytes() == openapi(), "run `make reference` and commit what it writes"


@pytest.mark.checklist(90)
def test_the_document_is_openapi_3_1() -> None:
    """As the specification's own schema has it, references and defaults included."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


@pytest.mark.checklist(68, 90)
def test_routes_operations_and_the_matrix_of_keys_are_the_same() -> None:
    """No route that is not described, none described that is not there, none that the matrix leaves out."""
    assert {(method, path) for method, path, _ in operations()} == set(ROUTES) == set(MATRIX) - set(OLDER)
    assert {f"{method} {path}" for method, path in ROUTES if method != "HEAD"} == set(OPERATIONS)


@pytest.mark.checklist(68)
def test_every_name_in_a_path_is_a_parameter() -> None:
    """Routes are templates with named parameters; each is described with the texts it takes."""
    for path, said in DOCUMENT["paths"].items():
        named = [each["name"] for each in said.get("parameters", ()) if each["in"] == "path"]
        assert named == re.findall(r"{(\w+)}", path)
        assert all(each["schema"]["pattern"] for each in said.get("parameters", ()))


def test_what_needs_a_key_says_so() -> None:
    """Security is asked for wherever the server asks for it, and the scopes are named."""
    for method, path, said in operations():
        assert (said["security"] == []) == ((method, path) in UNPROTECTED)
        assert ("x-scopes" in said) == bool(said["security"])
        assert {"401", "403"} <= said["responses"].keys() or said["security"] == []


@pytest.mark.parametrize(
    ("method", "path", "said"),
    list(operations()),
    ids=[f"{method} {path}" for method, path, _ in operations()],
)
def test_parameters_are_those_that_are_read(
    fleet: Fleet, method: str, path: str, said: dict[str, Any]
) -> None:
    """The refusal of an unknown parameter lists the known ones, that of a wrong choice the choices."""
    client, lease = fleet.client, fleet.running()
    concrete = path.format(
        job_id=lease["job_id"],
        engine_id=lease["engine_id"],
        number="1",
        key_id="key",
        pool_id="p",
        window_id="w",
        limit_key="l",
        campaign="c",
    )
    described = {each["name"]: each["schema"] for each in said.get("parameters", ()) if each["in"] == "query"}
    answer = client.simulate_request(method, concrete, params={"0": "1"})
    if answer.status_code != 400:
        assert described == {}
        return
    assert known(answer) == sorted(described)
    for name, schema in described.items():
        if choices := schema.get("enum") or schema.get("items", {}).get("enum"):
            wrong = client.simulate_request(method, concrete, params={name: "0"})
            assert known(wrong) == sorted(choices)


def known(answer: Result) -> list[str]:
    """The words that a refusal lists."""
    detail = problem(answer, 400, "invalid-parameter")["detail"]
    return [
        word for word in re.split("known: |must be one of |there are none", detail)[1].split(", ") if word
    ]


def test_a_form_has_the_fields_that_are_described() -> None:
    """All of them and no other; some are left out only where callers ask for it."""
    assert tuple(properties("Job")) == JOB_FIELDS
    assert tuple(properties("Engine")) == ENGINE_FIELDS
    forms = {
        "Key": KEY_FIELDS,
        "Pool": POOL_FIELDS,
        "Limit": LIMIT_FIELDS,
        "Window": WINDOW_FIELDS,
        "Attempt": ATTEMPT_FIELDS,
    }
    for name, known in {**forms, "Event": EVENT_FIELDS}.items():
        assert sorted(properties(name)) == sorted(known)
        assert "required" not in SCHEMAS[name]
    assert "required" not in SCHEMAS["Job"]
    assert SCHEMAS["Status"]["required"] == list(properties("Status"))


@pytest.mark.checklist(90)
def test_bounds_are_those_of_the_types() -> None:
    """The limits of numbers, texts and lists, the forms of names, defaults, and what must be given."""
    job = properties("JobSpec")
    assert (job["priority"]["minimum"], job["priority"]["maximum"], job["priority"]["default"]) == (
        -100,
        100,
        0,
    )
    assert (job["requirements"]["maxItems"], job["requirements"]["items"]["maxLength"]) == (32, 300)
    assert job["kind"]["default"] == "transcode"
    assert properties("Retry")["max_attempts"]["maximum"] == 100
    assert properties("HeldToken")["engine_id"]["pattern"] == "^[A-Za-z0-9][A-Za-z0-9._-]*$"
    assert SCHEMAS["HeldToken"]["required"] == ["token", "engine_id"]
    assert properties("Job")["state"]["enum"][0] == "pending"


@pytest.mark.checklist(67)
def test_what_is_taken_is_closed_and_what_is_given_is_open() -> None:
    """Unknown fields are refused; readers of answers must expect new ones."""
    assert SCHEMAS["JobSpec"]["additionalProperties"] is False
    assert SCHEMAS["StatusReport"]["additionalProperties"] is False
    assert "additionalProperties" not in SCHEMAS["Job"]


def test_the_edge_has_its_own_names() -> None:
    """Times and sizes are described as they are written there, not as they are stored."""
    assert "not_before_us" not in properties("JobSpec") | properties("Edit")
    assert properties("JobSpec")["not_before"]["format"] == "date-time"
    assert {"size_mb", "size_bytes", "duration_s"} <= properties("JobSize").keys()
    assert "merge" not in properties("Edit")
    assert "null" in properties("RetryPatch")["factor"]["type"]


@pytest.mark.checklist(30)
def test_every_refusal_is_a_problem() -> None:
    """Its media type, its schema, and Retry-After where waiting helps."""
    for response in DOCUMENT["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]
    responses = DOCUMENT["components"]["responses"]
    assert "Retry-After" in responses["TooManyRequests"]["headers"]
    assert "Retry-After" in responses["ServiceUnavailable"]["headers"]
    assert {"pointer", "parameter", "line", "column"} <= properties("ProblemPlace").keys()


def test_headers_are_described() -> None:
    """Entity tags, conditions, keys of repeats, places of what was made."""
    paths = DOCUMENT["paths"]
    assert {"ETag", "Location"} <= paths["/jobs"]["post"]["responses"]["201"]["headers"].keys()
    edit = {each["name"] for each in paths["/jobs/{job_id}"]["patch"]["parameters"]}
    assert edit == {"If-Match", "Idempotency-Key"}
    assert "304" in paths["/jobs/{job_id}"]["get"]["responses"]


@pytest.mark.checklist(90)
def test_it_is_served(client: TestClient) -> None:
    """The same bytes, to anybody."""
    answer = client.simulate_get("/openapi.json")
    assert answer.content == OPENAPI.read_bytes()
    assert answer.headers["Content-Type"].startswith("application/vnd.oai.openapi+json")
