"""Lines that come in part, too large, or to the wrong place: nothing is taken by halves, nothing is read for nobody."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
from falcon.testing import TestClient

from dispatch_core import Dispatcher, ManualClock, SeededIds, StorageUnavailableError, SubmitEach
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.observing import make_log
from tests.http.fleet import PARAMETERS, Fleet
from tests.http.test_granian import COMMAND, PATIENCE_S

LINE = json.dumps({"parameters": PARAMETERS}) + "\n"
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.mark.parametrize("server", ["granian", "waitress"])
def test_an_upload_that_was_cut_off_may_be_repeated_under_its_key(tmp_path: Path, server: str) -> None:
    """Nothing of the cut one was accepted, or the repeat, which has all of it, would be refused."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCH_")}
    command = [
        *COMMAND,
        "serve",
        "--server",
        server,
        "--port",
        "0",
        "--database",
        str(tmp_path / "jobs.db"),
        "--json",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            _cut(int(url.rpartition(":")[2]), LINE * 60)
            with httpx2.Client(base_url=url, timeout=PATIENCE_S) as client:
                again = client.post(
                    "/jobs?fields=id", content=LINE * 60, headers={**LINES, "Idempotency-Key": "night"}
                )
                answers = [json.loads(line) for line in again.text.splitlines()]
                assert [answer["status"] for answer in answers] == [201] * 60
                assert client.get("/status").json()["accepted"] == 60
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)


def _cut(port: int, body: str) -> None:
    """Send half of what is announced, and leave."""
    head = (
        f"POST /jobs?fields=id HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/x-ndjson\r\n"
    )
    head += f"Idempotency-Key: night\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall((head + body[: len(body) // 2]).encode())
        time.sleep(0.3)
    time.sleep(0.3)  # the server has noticed by now, and has done whatever it does


def _made() -> tuple[Dispatcher, TestClient]:
    dispatcher = Dispatcher(MemoryStorage(ManualClock()), ids=SeededIds(1))
    log = make_log(io.StringIO())
    return dispatcher, TestClient(create_app(dispatcher, log=log), headers={"Host": "localhost"})


def test_a_name_that_utf8_cannot_say_is_quoted_all_the_same() -> None:
    """The good report beside it is answered, and the bad one says what is wrong with it."""
    dispatcher, client = _made()
    fleet = Fleet(client)
    lease = fleet.running()
    report = {"job_id": lease["job_id"], "token": lease["token"], "status": "completed"}
    good = json.dumps(report)
    bad = '{"job_id": "x", "token": "0123456789ab.1", "status": "running", "\\ud800": 1}'
    answer = client.simulate_post(
        f"/engines/{lease['engine_id']}/reports",
        body=f'{{"reports": [{good}, {bad}]}}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 200
    assert [each["status"] for each in answer.json["reports"]] == [200, 422]
    dispatcher.close()


def test_a_first_chunk_that_the_store_cannot_take_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was answered yet: the caller may go on with another server."""
    dispatcher, client = _made()
    real = Dispatcher.execute

    def execute(self: Dispatcher, command: object) -> object:
        if isinstance(command, SubmitEach):
            raise StorageUnavailableError("away")
        return real(self, command)  # type: ignore[arg-type]  # whatever it was

    monkeypatch.setattr(Dispatcher, "execute", execute)
    answer = client.simulate_post("/jobs", body=LINE, headers=LINES)
    assert answer.status_code == 503
    assert answer.json["code"] == "storage-unavailable"
    assert int(answer.headers["Retry-After"]) > 0
    dispatcher.close()
