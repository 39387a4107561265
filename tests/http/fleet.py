"""Short words for what the tests of the HTTP frontend do most."""

import json
from typing import Any

from attrs import frozen
from falcon.testing import Result, TestClient

PARAMETERS = {"source": "file:///srv/media/in.mkv", "target": "file:///srv/media/out.mp4"}
PROFILE = {
    "slots": 2,
    "facts": {"codec": ["h264"], "encoder": ["libx264"], "ffmpeg": "7.1"},
    "version": "1.0",
}
SESSION = "first-start"


@frozen
class Fleet:
    """A submitter and engines in one person; every method insists on success."""

    client: TestClient

    def submit(self, **fields: object) -> dict[str, Any]:
        """A job."""
        answer = self.client.simulate_post("/jobs", json={"parameters": PARAMETERS, **fields})
        return insist(answer, 201)

    def register(
        self, engine_id: str = "engine-1", session: str = SESSION, **profile: object
    ) -> dict[str, Any]:
        """An engine."""
        body = {"session": session, "profile": {**PROFILE, **profile}}
        answer = self.client.simulate_put(f"/engines/{engine_id}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json)

    def claim(self, engine_id: str = "engine-1", session: str = SESSION) -> dict[str, Any]:
        """A lease."""
        params = {"engine_id": engine_id, "session": session}
        return insist(self.client.simulate_post("/queue/next_job", params=params), 201)

    def running(self, **fields: object) -> dict[str, Any]:
        """A lease of a new job by a new engine."""
        self.submit(**fields)
        self.register()
        return self.claim()

    def report(self, lease: dict[str, Any], status: str = "completed", **fields: object) -> Result:
        """The answer to the end of an attempt."""
        body = {"token": lease["token"], "engine_id": lease["engine_id"], "status": status, **fields}
        return put_raw(self.client, f"/jobs/{lease['job_id']}/status", json.dumps(body))

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as it is now."""
        return insist(self.client.simulate_get(f"/jobs/{job_id}"), 200)


def put_raw(client: TestClient, path: str, text: str) -> Result:
    """PUT a JSON text as it is; the test client would not write a lone surrogate."""
    return client.simulate_put(path, body=text, headers={"Content-Type": "application/json"})


def insist(answer: Result, status: int) -> dict[str, Any]:
    """The form in an answer that must have this status."""
    assert answer.status_code == status, answer.text
    return dict(answer.json)


def problem(answer: Result, status: int, code: str) -> dict[str, Any]:
    """The problem in an answer that must be one: this status, this code, well formed."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), (
        answer.text
    )
    form = dict(answer.json)
    assert (form["status"], form["code"]) == (status, code), answer.text
    assert form["title"]
    assert form["type"] in ("about:blank", f"urn:dispatch:problem:{code}")
    assert form["request_id"] == answer.headers["X-Request-Id"]
    return form


def pointers(form: dict[str, Any]) -> list[str]:
    """The fields a problem points at."""
    return [error["pointer"] for error in form["errors"]]
