"""The files for balancers in the guide to several servers: each is run as it stands there, but for addresses and paths."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from dispatch_cli.opening import Connection, open_target
from dispatch_cli.servers import Servers
from dispatch_cli.target import JobQuery
from dispatch_http.settings import HttpSettings
from tests.cli.test_outage import ENGINE, JOB, started, until
from tests.http.test_granian import make_pair
from tests.support.postgres import Postgres, free_port

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "several-servers.md").read_text(encoding="utf-8")
BALANCERS = ("nginx", "haproxy", "caddy")
KEY = "a-key-of-the-tests-of-balancers"


def block(language: str) -> str:
    """The one block of the page in this language."""
    [text] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


@pytest.mark.parametrize("balancer", BALANCERS)
def test_no_balancer_cuts_a_claim_that_waits(balancer: str) -> None:
    """What it waits for an answer is longer than a claim may wait, and it may take what the server takes."""
    waits = {
        "nginx": r"proxy_read_timeout (\d+)s",
        "haproxy": r"timeout server (\d+)s",
        "caddy": r"response_header_timeout (\d+)s",
    }
    [wait_s] = re.findall(waits[balancer], block(balancer))
    assert int(wait_s) > HttpSettings().wait_max_s
    assert "a.example:8080" in block(balancer)
    if balancer == "nginx":
        [megabytes] = re.findall(r"client_max_body_size (\d+)m", block(balancer))
        assert int(megabytes) << 20 >= HttpSettings().lines_bytes_max


# ----- run for real


@frozen
class Place:
    """Where everything of one run is."""

    folder: Path
    port: int
    servers: tuple[int, int]

    def fill(self, text: str) -> str:
        """The documented text with the addresses and paths of here."""
        for name, port in zip("ab", self.servers, strict=True):
            text = text.replace(f"{name}.example:8080", f"127.0.0.1:{port}")
        return text.replace("/etc/dispatch/", f"{self.folder}/")


def nginx(place: Place) -> list[str]:
    """Its command. What stands around the documented part is about where it keeps its own files."""
    own = "".join(
        f"{each}_temp_path {place.folder}/{each};\n"
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = place.fill(block("nginx")).replace("listen 443", f"listen 127.0.0.1:{place.port}")
    config = place.folder / "nginx.conf"
    config.write_text(
        f"daemon off;\nmaster_process off;\npid {place.folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{own}{text}}}\n"
    )
    return ["-p", str(place.folder), "-c", str(config)]


def haproxy(place: Place) -> list[str]:
    """Its command."""
    config = place.folder / "haproxy.cfg"
    config.write_text(place.fill(block("haproxy")).replace("bind :443", f"bind 127.0.0.1:{place.port}"))
    return ["-db", "-f", str(config)]


def caddy(place: Place) -> list[str]:
    """Its command; without its administration, which would listen, too."""
    config = place.folder / "Caddyfile"
    text = place.fill(block("caddy")).replace("dispatch.example {", f"https://127.0.0.1:{place.port} {{")
    config.write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}")
    return ["run", "--config", str(config), "--adapter", "caddyfile"]


COMMANDS: Mapping[str, Callable[[Place], list[str]]] = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy}


def program(balancer: str) -> str:
    """Where it is. Skips the test where it is not installed."""
    found = shutil.which(balancer, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{balancer} is not installed")
    return found


@contextmanager
def running(balancer: str, place: Place) -> Iterator[None]:
    """The balancer, from when it takes connections on."""
    log = place.folder / "balancer.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [program(balancer), *COMMANDS[balancer](place)],
            stdout=said, stderr=said, env={**os.environ, "HOME": str(place.folder)},
        )  # fmt: skip
    try:
        until(lambda: ready(place, process, log))
        yield
    finally:
        process.terminate()
        process.wait(30)


def ready(place: Place, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether a server answers through it."""
    assert process.poll() is None, log.read_text()
    try:
        return bool(ask(place, "GET", "/health/ready")[0] == 200)
    except OSError:
        return False


def ask(place: Place, method: str, path: str, form: object = None) -> tuple[int, Any]:
    """One request through the balancer; nothing is repeated."""
    trusting = ssl.create_default_context(cafile=str(place.folder / "chain.pem"))
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    body = None if form is None else json.dumps(form).encode()
    request = urllib.request.Request(f"https://127.0.0.1:{place.port}{path}", body, headers, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=90, context=trusting)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, json.loads(answer.read() or b"null")


class Abroad(Servers):
    """As if they were on another machine: then the certificates that the environment names are trusted."""

    @property
    def local(self) -> bool:
        return False


@pytest.mark.soak
@pytest.mark.parametrize("balancer", BALANCERS)
def test_a_balancer_as_documented(
    balancer: str,
    postgres_server: Postgres,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Jobs go in one by one and as lines, a claim that waits is answered when work comes, an export is whole; and when a
    server is stopped while callers go on, no call fails and nothing that was acknowledged is missing or there twice.
    """
    program(balancer)
    place = Place(tmp_path, free_port(), (free_port(), free_port()))
    certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "chain.pem"))
    monkeypatch.setenv("NO_PROXY", "*")
    environment = {
        "DISPATCH_DATABASE": postgres_url,
        "DISPATCH_API_KEY": KEY,
        "DISPATCH_TRUSTED_PROXIES": "127.0.0.1",
    }
    with ExitStack() as house:
        first, _ = (house.enter_context(started(port, environment)) for port in place.servers)
        house.enter_context(running(balancer, place))
        waits_for_work(place)
        servers = Abroad((f"https://127.0.0.1:{place.port}",))
        with closing(open_target(Connection(servers=servers, api_key=KEY))) as target:
            acknowledged = [
                str(form["id"]) for form in target.submit_each([JOB] * 300) if isinstance(form, dict)
            ]
            acknowledged += through_a_stop(servers, first)
            exported = {json.loads(line)["id"] for line in target.export_jobs(JobQuery())}
    rows = postgres_server.execute("SELECT id FROM jobs", database=postgres_url.rpartition("/")[2])
    stored = [job_id for (job_id,) in rows]
    assert len(set(acknowledged)) == len(acknowledged)
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(acknowledged) + 1
    assert exported == set(stored)


def certificate(folder: Path) -> None:
    """One that this machine signed for itself, in the files that the guide names."""
    chain, key = make_pair(folder)
    (folder / "chain.pem").write_bytes(Path(chain).read_bytes())
    (folder / "chain-and-key.pem").write_bytes(Path(chain).read_bytes() + Path(key).read_bytes())


def waits_for_work(place: Place) -> None:
    """A claim that waits through the balancer gets the job that is submitted through it meanwhile."""
    assert ask(place, "PUT", "/engines/e1", ENGINE)[0] == 201
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, place, "POST", "/queue/next_job?engine_id=e1&session=s1&wait=30")
        time.sleep(0.5)
        assert not waiting.done()
        status, job = ask(place, "POST", "/jobs", JOB)
        assert status == 201
        assert waiting.result(60)[1]["job_id"] == job["id"]


def through_a_stop(servers: Servers, process: subprocess.Popen[str]) -> list[str]:
    """What was acknowledged to callers who went on while a server was stopped in order."""
    stop, acknowledged = threading.Event(), list[str]()

    def submit() -> None:
        with closing(open_target(Connection(servers=servers, api_key=KEY))) as target:
            while not stop.is_set():
                acknowledged.append(target.submit(JOB)["id"])

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(submit) for _ in range(4)]
        until(lambda: len(acknowledged) > 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        seen = len(acknowledged)
        until(lambda: len(acknowledged) > seen + 20 or any(each.done() for each in callers))
        stop.set()
        for each in callers:
            each.result(60)
    return acknowledged
