"""What the older client and its engines send, in short words."""

import json
from typing import Any

from attrs import frozen
from falcon.testing import Result, TestClient

SOURCE = "http://media.example/in.mov"
FIRST = {
    "engine_type": "transcoder",
    "hostname": "box-7",
    "local_job_queue": [],
    "status": "idle",
    "storage_capacity_gb": 500.0,
    "streaming_support": True,
    "supported_codecs": ["h264", "h265", "vp8", "vp9"],
}
LATER = {
    "engine_type": "transcoder",
    "hostname": "box-7",
    "local_job_queue": ["a-job-of-long-ago"],
    "status": "idle",
    "storage_capacity_gb": 500.0,
    "streaming_support": True,
    "cpu_temperature": -1.0,
    "encoders": "",
    "decoders": "",
    "hwaccels": "vaapi,cuda",
}


@frozen
class Older:
    """Calls of the older protocol. What is asked for in a test is checked there; the rest must succeed."""

    client: TestClient
    key: str = "whatever-key-this-fleet-has"

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Result:
        """One call, as its library makes it."""
        sent = {"X-API-Key": self.key, "Content-Type": "application/json", **headers}
        text = None if body is None else json.dumps(body)
        return self.client.simulate_request(method, path, body=text, headers=sent)

    def post(self, path: str, body: object = None) -> Result:
        """A POST."""
        return self.call("POST", path, body)

    def told(self, answer: Result) -> Any:
        """The data of an answer that must be 200."""
        assert answer.status_code == 200, answer.text
        return answer.json

    def submit(self, **fields: object) -> dict[str, Any]:
        """A job."""
        body = {"source_url": SOURCE, "target_codec": "libx264", "job_size": 12.5, "max_retries": 3, **fields}
        return dict(self.told(self.post("/jobs/", body)))

    def start(self, engine_id: str = "engine-1") -> None:
        """The first heartbeat of a process."""
        assert self.post("/engines/heartbeat", {"engine_id": engine_id, **FIRST}).status_code == 200

    def beat(self, engine_id: str = "engine-1") -> None:
        """Any other heartbeat."""
        assert self.post("/engines/heartbeat", {"engine_id": engine_id, **LATER}).status_code == 200

    def assign(self, engine_id: str = "engine-1") -> dict[str, Any] | None:
        """A job, or None."""
        answer = self.post("/assign_job/", {"engine_id": engine_id})
        if answer.status_code == 204:
            assert answer.content == b""
            return None
        return dict(self.told(answer))

    def complete(self, job_id: str, url: str = "http://example.com/transcoded/x.mp4") -> dict[str, Any]:
        """The report of a success."""
        return dict(self.told(self.post(f"/jobs/{job_id}/complete", {"output_url": url})))

    def fail(self, job_id: str, message: str = "ffmpeg failed") -> dict[str, Any]:
        """The report of a failure."""
        return dict(self.told(self.post(f"/jobs/{job_id}/fail", {"error_message": message})))

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as it is now."""
        return dict(self.told(self.call("GET", f"/jobs/{job_id}")))
