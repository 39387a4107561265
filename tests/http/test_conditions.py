"""Keys and conditions: a request that is repeated or comes too late does no harm."""

import pytest
from falcon.testing import TestClient

from tests.http.fleet import PARAMETERS, SESSION, Fleet, insist, problem


def test_the_same_key_and_body_is_the_same_job(client: TestClient) -> None:
    """A repeated submit is answered as the first one was, and there is one job."""
    body = {"parameters": PARAMETERS}
    answers = [client.simulate_post("/jobs", json=body, headers={"Idempotency-Key": "k-1"}) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert len(insist(client.simulate_get("/jobs"), 200)["jobs"]) == 1


def test_the_same_key_with_another_body_is_refused(client: TestClient) -> None:
    """422: the key was not meant for this."""
    client.simulate_post("/jobs", json={"parameters": PARAMETERS}, headers={"Idempotency-Key": "k-1"})
    other = {"parameters": PARAMETERS, "priority": 1}
    answer = client.simulate_post("/jobs", json=other, headers={"Idempotency-Key": "k-1"})
    problem(answer, 422, "idempotency-key-reused")


def test_a_key_belongs_to_one_verb(fleet: Fleet, client: TestClient) -> None:
    """The same key on another route is another request, too."""
    job = fleet.submit()
    headers = {"Idempotency-Key": "k-2"}
    assert client.simulate_post(f"/jobs/{job['id']}/hold", headers=headers).status_code == 200
    problem(
        client.simulate_post(f"/jobs/{job['id']}/release", headers=headers), 422, "idempotency-key-reused"
    )


def test_a_repeated_claim_gets_the_same_lease(fleet: Fleet, client: TestClient) -> None:
    """An engine that lost the answer does not lose the job, and does not get a second one."""
    fleet.submit()
    fleet.submit()
    fleet.register()
    params = {"engine_id": "engine-1", "session": SESSION}
    leases = [
        insist(
            client.simulate_post("/queue/next_job", params=params, headers={"Idempotency-Key": "c-1"}), 201
        )
        for _ in range(2)
    ]
    assert leases[0] == leases[1]


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "k" * 256, "a\tb"])
def test_an_unfit_key_is_refused(client: TestClient, key: str) -> None:
    """400: 1 to 255 visible ASCII characters."""
    answer = client.simulate_post("/jobs", json={"parameters": PARAMETERS}, headers={"Idempotency-Key": key})
    problem(answer, 400, "invalid-header")


@pytest.mark.checklist(25)
def test_an_edit_of_an_older_version_is_refused(fleet: Fleet, client: TestClient) -> None:
    """412: somebody else was faster, and nothing was overwritten."""
    path = f"/jobs/{fleet.submit()['id']}"
    first = client.simulate_patch(path, json={"priority": 1}, headers={"If-Match": '"1"'})
    assert first.headers["ETag"] == '"2"'
    late = client.simulate_patch(path, json={"priority": 2}, headers={"If-Match": '"1"'})
    problem(late, 412, "version-mismatch")
    assert insist(client.simulate_get(path), 200)["priority"] == 1
    assert client.simulate_patch(path, json={"priority": 3}, headers={"If-Match": "*"}).status_code == 200


@pytest.mark.parametrize("tag", ["7", 'W/"1"', '"1", "2"', '"x"', '"0"', '"99999999999999999999"', ""])
def test_a_condition_that_names_no_version_is_refused(fleet: Fleet, client: TestClient, tag: str) -> None:
    """400: an edit whose condition cannot be checked must not happen."""
    path = f"/jobs/{fleet.submit()['id']}"
    problem(
        client.simulate_patch(path, json={"priority": 1}, headers={"If-Match": tag}), 400, "invalid-header"
    )
    assert insist(client.simulate_get(path), 200)["version"] == 1


def test_a_condition_where_none_is_checked_is_refused(fleet: Fleet, client: TestClient) -> None:
    """400: ignoring it would do what the caller wanted to prevent."""
    path = f"/jobs/{fleet.submit()['id']}"
    problem(client.simulate_delete(path, headers={"If-Match": '"1"'}), 400, "invalid-header")


@pytest.mark.parametrize(
    ("tag", "status"), [('"1"', 304), ('W/"1"', 304), ('"7", "1"', 304), ("*", 304), ('"2"', 200), ("1", 200)]
)
def test_who_has_the_version_gets_no_body(fleet: Fleet, client: TestClient, tag: str, status: int) -> None:
    """304 without a body and with the tag."""
    path = f"/jobs/{fleet.submit()['id']}"
    answer = client.simulate_get(path, headers={"If-None-Match": tag})
    assert answer.status_code == status
    assert answer.headers["ETag"] == '"1"'
    assert (answer.content == b"") == (status == 304)
