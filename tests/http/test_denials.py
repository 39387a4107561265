"""Refused callers leave a trace: who, what, why, from where and how often, for those who may read it only."""

from __future__ import annotations

import json

import pytest
from falcon.testing import Result, TestClient

from dispatch_core import Dispatcher, Scope
from dispatch_http.settings import HttpSettings, api_key
from tests.http.fleet import PARAMETERS, insist, problem

KEY = "a-good-key-of-some-length"
OPERATOR = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def settings() -> HttpSettings:
    """A server with a key of its own, which is the operator's."""
    return HttpSettings(keys=(api_key(KEY, "ops"),), bad_keys_per_minute=2)


def bearer(text: str | None) -> dict[str, str]:
    """The header for a key."""
    assert text is not None
    return {"Authorization": f"Bearer {text}"}


def trail(client: TestClient, headers: dict[str, str]) -> list[dict[str, object]]:
    """The denied attempts that a reader sees."""
    answer = client.simulate_get("/history/export", headers=headers)
    assert answer.status_code == 200, answer.text
    rows = [json.loads(line) for line in answer.text.splitlines()]
    return [{"actor": row["actor"], **row["data"]} for row in rows if row["event"] == "access-denied"]


def test_wrong_keys_missing_scopes_and_foreign_ids_are_in_the_trail(
    client: TestClient, dispatcher: Dispatcher
) -> None:
    """Each with its reason; a tenant's admin sees its own keys' refusals, and nothing that would tell of others'."""
    key, submitter = dispatcher.create_key("s", [Scope.SUBMITTER], tenant="acme")
    _, admin = dispatcher.create_key("a", [Scope.ADMIN], tenant="acme")
    answer = client.simulate_post("/jobs", json={"parameters": PARAMETERS}, headers=OPERATOR)
    job_id = insist(answer, 201)["id"]

    def ask(method: str, path: str, headers: dict[str, str]) -> Result:
        return client.simulate_request(method, path, headers=headers, remote_addr="192.0.2.7")

    problem(ask("GET", "/jobs", {}), 401, "unauthorized")
    for _ in range(2):
        problem(ask("GET", "/jobs", bearer("a-bad-key-of-some-length")), 401, "unauthorized")
    problem(ask("GET", "/jobs", bearer("a-bad-key-of-some-length")), 429, "rate-limited")
    problem(ask("GET", "/keys", bearer(submitter)), 403, "forbidden")
    problem(ask("POST", f"/jobs/{job_id}/cancel", bearer(submitter)), 404, "unknown-job")
    problem(ask("POST", "/jobs/job-missing/cancel", bearer(submitter)), 404, "unknown-job")
    dispatcher.tick()
    assert trail(client, bearer(admin)) == [
        {
            "actor": f"key:s/{key.id}",
            "action": "GET /keys",
            "reason": "forbidden",
            "count": 1,
            "address": "192.0.2.7",
        }
    ]
    found = trail(client, OPERATOR)
    assert [(each["action"], each["reason"], each["count"], each["address"]) for each in found] == [
        ("GET /jobs", "unauthorized", 3, "192.0.2.7"),
        ("GET /jobs", "rate-limited", 1, "192.0.2.7"),
        ("Cancel", "foreign-id", 1, "192.0.2.7"),
    ]
    problem(ask("GET", "/history/export", bearer(submitter)), 403, "forbidden")
    assert "a-bad-key" not in json.dumps(found)


def test_a_caller_without_a_good_key_is_named_by_nothing_but_its_address(
    client: TestClient, dispatcher: Dispatcher
) -> None:
    """What it claims to be does not enter the books: neither its key nor its path."""
    client.simulate_get("/jobs/job-of-mine", headers=bearer("a-bad-key-of-some-length"))
    dispatcher.tick()
    assert trail(client, OPERATOR) == [
        {
            "actor": "-",
            "action": "GET /jobs/{job_id}",
            "reason": "unauthorized",
            "count": 1,
            "address": "127.0.0.1",
        }
    ]
