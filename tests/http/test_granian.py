"""`dispatch serve --server granian` as a process: TLS, HTTP/2, and a way down that cuts nobody off."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dispatch_core import Dispatcher
from dispatch_core.storage import create_storage
from dispatch_http.settings import HttpSettings, SettingsError
from dispatch_http.tls import check_server
from tests.http.fleet import PARAMETERS, PROFILE

COMMAND = (sys.executable, "-c", "from dispatch_cli.main import main; main(prog_name='dispatch')")
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate that this machine signed for itself, and its key."""
    return make_pair(tmp_path_factory.mktemp("tls"))


def make_pair(folder: Path) -> tuple[str, str]:
    """A certificate for loopback and its key, in files of a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    for form, file in ((PrivateFormat.PKCS8, "key.pem"), (PrivateFormat.TraditionalOpenSSL, "old.pem")):
        (folder / file).write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    return str(folder / "cert.pem"), str(folder / "key.pem")


@contextmanager
def served(database: Path, pair: tuple[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process that speaks TLS, and its address."""
    certificate, key = pair
    process = subprocess.Popen(
        [*COMMAND, "serve", "--server", "granian", "--tls-cert", certificate, "--tls-key", key,
         "--port", "0", "--database", str(database), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("DISPATCH_") and name != "PYTHONDONTWRITEBYTECODE"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["url"]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()


def client(url: str, pair: tuple[str, str]) -> httpx2.Client:
    """A client that trusts the certificate and speaks HTTP/2 where the server does."""
    return httpx2.Client(
        base_url=url, http2=True, verify=ssl.create_default_context(cafile=pair[0]), timeout=PATIENCE_S
    )


@pytest.mark.checklist(50)
@pytest.mark.checklist(53)
@pytest.mark.checklist(79)
def test_jobs_go_through_tls_and_http2_and_survive_the_stop(tmp_path: Path, pair: tuple[str, str]) -> None:
    """Every answer comes over HTTP/2 with its own status; SIGHUP is ignored; SIGTERM releases a waiting claim
    and ends with 0, and the store is free and holds the job. Who does not trust the certificate is told.
    """
    with served(tmp_path / "jobs.db", pair) as (process, url), client(url, pair) as caller:
        assert url.startswith("https://")
        made = caller.post("/jobs", json={"parameters": PARAMETERS, "requirements": ["tag has moon"]})
        refused = caller.post("/jobs", json={"parameters": 3})
        engine = caller.put("/engines/engine-1", json={"session": "s", "profile": PROFILE})
        assert [(each.status_code, each.http_version) for each in (made, refused, engine)] == [
            (201, "HTTP/2"), (422, "HTTP/2"), (201, "HTTP/2"),
        ]  # fmt: skip
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{url}/version")
        process.send_signal(signal.SIGHUP)
        heard: list[int] = []

        def wait() -> None:
            heard.append(other.post("/queue/next_job?engine_id=engine-1&session=s&wait=60").status_code)

        # Threads that share a connection would wait for each other's answers.
        with client(url, pair) as other:
            assert other.get("/health/ready").status_code == 200
            waiting = threading.Thread(target=wait)
            waiting.start()
            time.sleep(1.0)
            assert caller.get("/health/ready").status_code == 200, "while another request waits"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
            waiting.join(PATIENCE_S)
        assert heard == [204]
    storage = create_storage(str(tmp_path / "jobs.db"))
    with Dispatcher(storage) as dispatcher:
        assert dispatcher.job(made.json()["id"]).state == "pending"
    storage.close()


@pytest.mark.checklist(53)
def test_waitress_refuses_certificates_with_a_hint(pair: tuple[str, str]) -> None:
    """The server without TLS does not pretend: it says which server has it."""
    with pytest.raises(SettingsError, match="--server granian"):
        check_server(HttpSettings(tls_cert=pair[0], tls_key=pair[1]))


@pytest.mark.checklist(53)
def test_unfit_certificates_are_named_before_anything_listens(pair: tuple[str, str]) -> None:
    """A missing half, a missing file, an old form of key and a foreign key are each told apart."""
    certificate, key = pair
    old = key.replace("key.pem", "old.pem")
    for tls_cert, tls_key, word in (
        (certificate, None, "both"),
        (certificate, "/no/such/file", "/no/such/file"),
        (certificate, old, "openssl pkcs8"),
        (key, key, "not a certificate"),
    ):
        with pytest.raises(SettingsError, match=word):
            check_server(HttpSettings(server="granian", tls_cert=tls_cert, tls_key=tls_key))
    check_server(HttpSettings(server="granian", tls_cert=certificate, tls_key=key))


def test_a_port_in_use_is_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    """granian would share a port with whoever has it; we do not."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = subprocess.run(
            [*COMMAND, "serve", "--server", "granian", "--port", port, "--database", str(tmp_path / "j.db")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert run.returncode == 2
    assert port in run.stderr


@pytest.mark.checklist(79)
def test_a_second_signal_ends_it_at_once(tmp_path: Path, pair: tuple[str, str]) -> None:
    """Half a request may hold the first signal, not the second; the worker goes with the process that watches it."""
    with served(tmp_path / "jobs.db", pair) as (process, url):
        host, _, port = url.removeprefix("https://").partition(":")
        trusting = ssl.create_default_context(cafile=pair[0])
        with (
            socket.create_connection((host, int(port)), timeout=PATIENCE_S) as plain,
            trusting.wrap_socket(plain, server_hostname=host) as half,
        ):
            half.sendall(b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            time.sleep(1.0)
            assert process.poll() is None, "it waits for the rest of the request"
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 128 + signal.SIGINT
    # Only a worker that has ended has let go of its store.
    create_storage(str(tmp_path / "jobs.db")).close()
