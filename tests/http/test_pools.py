"""Storage pools over HTTP."""

import pytest
from falcon.testing import TestClient

from dispatch_core.vocabulary.bounds import INT_MAX
from tests.http.fleet import PROFILE, Fleet, insist, pointers, problem

NAS = {"id": "nas", "url": "nfs://nas/media", "capacity_bytes": 100}


@pytest.mark.checklist(29)
def test_pools_are_made_shown_edited_and_removed(client: TestClient) -> None:
    """201 with Location and entity tag; PATCH under If-Match; 404 when it is gone."""
    made = client.simulate_post("/pools", json=NAS)
    assert insist(made, 201)["free_bytes"] == 100
    assert (made.headers["Location"], made.headers["ETag"]) == ("/pools/nas", '"1"')
    problem(client.simulate_post("/pools", json=NAS), 409, "wrong-state")
    patched = client.simulate_patch("/pools/nas", json={"reserve_bytes": 10}, headers={"If-Match": '"1"'})
    assert (insist(patched, 200)["free_bytes"], patched.json["url"]) == (90, "nfs://nas/media")
    stale = client.simulate_patch("/pools/nas", json={"note": "x"}, headers={"If-Match": '"1"'})
    problem(stale, 412, "version-mismatch")
    reported = insist(client.simulate_post("/pools/nas/report", json={"used_bytes": 50}), 200)
    assert (reported["used_bytes"], reported["free_bytes"], reported["version"]) == (50, 40, 3)
    assert insist(client.simulate_get("/pools"), 200)["pools"] == [reported]
    assert insist(client.simulate_get("/pools/nas"), 200) == reported
    assert insist(client.simulate_delete("/pools/nas"), 200)["id"] == "nas"
    problem(client.simulate_get("/pools/nas"), 404, "unknown-pool")
    problem(client.simulate_get("/pools/a b"), 404, "unknown-pool")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "/id"),
        ({"id": "a/b", "capacity_bytes": 1}, "/id"),
        ({"id": "nas"}, "/capacity_bytes"),
        ({**NAS, "capacity_bytes": -1}, "/capacity_bytes"),
        ({**NAS, "colour": "red"}, "/colour"),
        ([], ""),
    ],
)
def test_an_unfit_pool_is_pointed_at(client: TestClient, body: object, where: str) -> None:
    """422 with the pointer of the field."""
    assert where in pointers(problem(client.simulate_post("/pools", json=body), 422, "invalid-command"))


@pytest.mark.checklist(83)
def test_a_full_pool_keeps_its_jobs_waiting(client: TestClient, fleet: Fleet) -> None:
    """The second job finds the first one's bytes reserved, and explain says how many are missing."""
    client.simulate_post("/pools", json=NAS)
    fleet.register(facts={**PROFILE["facts"], "pool": ["nas"]})  # type: ignore[dict-item]  # an object of facts
    jobs = [fleet.submit(pool="nas", size={"size_bytes": 60}) for _ in range(2)]
    fleet.claim()
    assert insist(client.simulate_get("/pools/nas"), 200)["reserved_bytes"] == 60
    told = insist(client.simulate_get(f"/jobs/{jobs[1]['id']}/explain"), 200)
    assert (told["verdict"], told["unblock"]) == ("limited", "20 more free bytes in pool nas")
    problem(client.simulate_post("/jobs", json={"parameters": {}, "pool": "tape"}), 422, "invalid-command")


def test_a_lack_of_room_beyond_64_bits_is_cut(client: TestClient) -> None:
    """Each number may be as large as 64 bits allow; what is reckoned from them stays within, too."""
    full = {**NAS, "used_bytes": INT_MAX, "reserve_bytes": INT_MAX}
    told = insist(client.simulate_post("/pools", json=full), 201)
    assert told["free_bytes"] == -INT_MAX - 1
    assert insist(client.simulate_get("/pools"), 200)["pools"] == [told]
    assert insist(client.simulate_post("/pools/nas/report", json={"used_bytes": 0}), 200)["free_bytes"] < -100
