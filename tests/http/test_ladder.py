"""A ladder over HTTP: declared with the job, shown with it, and edited like any other part of the wish."""

import pytest
from falcon.testing import TestClient

from dispatch_core import Dispatcher, ManualClock
from tests.http.fleet import PARAMETERS, Fleet, insist, pointers, problem

WISH = {
    "parameters": {**PARAMETERS, "encoder": "libx265"},
    "ladder": [
        {"after_s": 600, "requirements": ["ffmpeg >= 7"]},
        {"after_s": 1800, "parameters": {"encoder": "libx264"}},
    ],
}


@pytest.fixture
def job_id(fleet: Fleet, dispatcher: Dispatcher, clock: ManualClock) -> str:
    """A job for a GPU that nobody has, after the pause of the start."""
    dispatcher.tick()
    clock.advance(31)
    job = fleet.submit(**WISH, requirements=["tag has gpu"])
    assert (job["step"], job["asked"], job["ladder"]) == (0, None, WISH["ladder"])
    return str(job["id"])


def waited(dispatcher: Dispatcher, clock: ManualClock, seconds: float) -> None:
    """So long nobody claimed."""
    clock.advance(seconds)
    dispatcher.tick()


@pytest.mark.checklist(95)
def test_a_job_shows_how_far_it_fell(
    fleet: Fleet, client: TestClient, job_id: str, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """Step, what is in force, what was asked for, what comes when; the engine is given what is in force."""
    fleet.register()
    told = insist(client.simulate_get(f"/jobs/{job_id}/explain"), 200)
    assert told["verdict"] == "never"
    assert (told["fall_back"]["step"], told["fall_back"]["engines"]) == (2, ["engine-1"])
    waited(dispatcher, clock, 600)
    job = fleet.job(job_id)
    assert (job["step"], job["requirements"]) == (1, ["ffmpeg >= 7"])
    assert job["asked"] == {"requirements": ["tag has gpu"], "parameters": WISH["parameters"]}
    assert job["falls_back_at"] == job["next_timer_at"]
    waited(dispatcher, clock, 1_200)
    fleet.register()  # it was not heard for long
    assert fleet.claim()["job"]["parameters"]["encoder"] == "libx264"
    events = insist(client.simulate_get(f"/jobs/{job_id}/history"), 200)["events"]
    assert [row["data"]["step"] for row in events if row["event"] == "job-fell-back"] == [1, 2]


def test_a_patch_states_the_wish_anew(
    client: TestClient, job_id: str, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """It merges into what was asked for; a ladder is replaced whole; a bad step is refused with its place."""
    waited(dispatcher, clock, 600)
    job = insist(client.simulate_patch(f"/jobs/{job_id}", json={"parameters": {"crf": 20}}), 200)
    assert (job["step"], job["parameters"]) == (0, {**WISH["parameters"], "crf": 20})  # type: ignore[dict-item]  # an object
    bad = [{"after_s": 5, "parameters": {"crf": 99}}]
    refused = client.simulate_patch(f"/jobs/{job_id}", json={"ladder": bad})
    assert pointers(problem(refused, 422, "invalid-command")) == ["/ladder/0/parameters/crf"]
    assert insist(client.simulate_patch(f"/jobs/{job_id}", json={"ladder": []}), 200)["ladder"] == []


def test_a_bad_step_is_refused_at_submit(client: TestClient) -> None:
    """Every step is checked like the wish itself, all problems at once."""
    ladder = [
        {"after_s": 5, "parameters": {"source": None}},
        {"after_s": 5, "requirements": ["no such fact"]},
    ]
    refused = client.simulate_post("/jobs", json={"parameters": PARAMETERS, "ladder": ladder})
    found = pointers(problem(refused, 422, "invalid-command"))
    assert found == ["/ladder/1/after_s", "/ladder/0/parameters/source", "/ladder/1/requirements/0"]
