"""Campaigns and modes of jobs over HTTP."""

from __future__ import annotations

import pytest
from falcon.testing import TestClient

from tests.http.fleet import PARAMETERS, Fleet, insist, pointers, problem

NAME = "Weihnachten 2030: é.1"


def test_a_campaign_has_an_address(fleet: Fleet, client: TestClient) -> None:
    """Its name is escaped there; it tells its jobs by state, and is not there without any."""
    first = fleet.submit(campaign=NAME)
    fleet.submit(campaign=NAME, hold=True)
    last = fleet.submit(campaign=NAME)
    assert first["campaign"] == NAME
    client.simulate_post(f"/jobs/{last['id']}/cancel")
    told = insist(client.simulate_get("/campaigns/Weihnachten%202030%3A%20%C3%A9.1"), 200)
    assert {state: count for state, count in told.pop("jobs").items() if count} == {
        "pending": 2,
        "cancelled": 1,
    }
    assert told.pop("queued_s") > 0
    assert told == {
        "name": NAME, "count": 3, "open": 2,
        "first_submitted_at": first["created_at"], "last_submitted_at": last["created_at"],
    }  # fmt: skip
    problem(client.simulate_get("/campaigns/Weihnachten"), 404, "unknown-campaign")
    problem(client.simulate_get("/campaigns/a%00b"), 404, "unknown-campaign")


def test_a_mode_is_written_edited_and_explained(fleet: Fleet, client: TestClient) -> None:
    """As every other wish of a job; explain names it where the server's is another."""
    job = fleet.submit(mode="fifo")
    assert job["mode"] == "fifo"
    path = f"/jobs/{job['id']}"
    assert insist(client.simulate_get(f"{path}/explain"), 200)["mode"] == "fifo"
    assert insist(client.simulate_patch(path, json={"mode": "makespan"}), 200)["mode"] == "makespan"
    assert insist(client.simulate_patch(path, json={"mode": None}), 200)["mode"] is None
    assert insist(client.simulate_get(f"{path}/explain"), 200)["mode"] is None
    refused = client.simulate_patch(path, json={"campaign": "other"})
    assert "not a known field" in problem(refused, 422, "invalid-command")["errors"][0]["detail"]


@pytest.mark.parametrize("mode", ["strict-bands", "strict", "Fifo", "", 1])
def test_what_is_no_mode_of_a_job_is_refused(client: TestClient, mode: object) -> None:
    """422 at its field; of bands it is said that they are of the whole queue, and how to have them."""
    answer = client.simulate_post("/jobs", json={"parameters": PARAMETERS, "mode": mode})
    form = problem(answer, 422, "invalid-command")
    assert pointers(form) == ["/mode"]
    if mode == "strict-bands":
        assert "of the whole queue: dispatch serve --mode strict-bands" in form["errors"][0]["detail"]


def test_a_campaign_is_cancelled_as_a_whole(fleet: Fleet, client: TestClient) -> None:
    """The filter of verbs for many takes its name."""
    mine = fleet.submit(campaign=NAME)["id"]
    fleet.submit(campaign="other")
    body = {"filter": {"campaign": NAME, "state": "pending"}, "dry_run": True}
    assert insist(client.simulate_post("/jobs:cancel", json=body), 200)["count"] == 1
    body |= {"dry_run": False, "expected": 1}
    assert insist(client.simulate_post("/jobs:cancel", json=body), 200)["done"] == [mine]
