"""Sources are brought here: from a path, a file:// URL, or over HTTP."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.limits import FetchLimits
from dispatch_cli.engine.locations import local_path, shown
from dispatch_cli.engine.sources import open_source

BODY = bytes(range(256)) * 4_000
RELEASE = "release"


class _Origin(BaseHTTPRequestHandler):
    """An origin with a good file and several bad habits."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        match path:
            case "/good.mp4":
                self._head(200, Content_Length=len(BODY))
                self.wfile.write(BODY)
            case "/moved":
                self._head(302, Location="/good.mp4", Content_Length=0)
            case "/escape":
                self._head(302, Location="file:///etc/passwd", Content_Length=0)
            case "/loop":
                self._head(302, Location="/loop", Content_Length=0)
            case "/cut":
                self._head(200, Content_Length=len(BODY), Connection="close")
                self.wfile.write(BODY[:1_000])
                self.close_connection = True
            case "/endless":
                self._head(200, Connection="close")
                self._write_for_ever()
            case "/silent" | "/drip":
                self._head(200, Content_Length=len(BODY))
                self._drip(until_released=path == "/silent")
            case _:
                self._head(404, Content_Length=0)

    def _head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def _write_for_ever(self) -> None:
        try:
            for _ in range(1_000):
                self.wfile.write(BODY)
        except OSError:
            self.close_connection = True

    def _drip(self, *, until_released: bool) -> None:
        released: threading.Event = getattr(self.server, RELEASE)
        try:
            while not released.wait(None if until_released else 0.05):
                self.wfile.write(b"x")
        except OSError:
            pass
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named so by the library
        """Say nothing."""


@pytest.fixture
def origin(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server on this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Origin)
    server.daemon_threads = True
    released = threading.Event()
    setattr(server, RELEASE, released)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def _failure(source: str, folder: Path, **options: object) -> TranscodeError:
    with (
        pytest.raises(TranscodeError) as caught,
        open_source(source, folder=folder, **options),  # type: ignore[arg-type]  # each test names its own
    ):
        pytest.fail("the source was opened")
    assert not list(folder.iterdir()), "nothing temporary is left"
    return caught.value


def test_a_local_file_is_used_where_it_is(tmp_path: Path) -> None:
    """A path and both forms of file:// name the file itself, and it stays."""
    path = tmp_path / "a b.mp4"
    path.write_bytes(b"x")
    for source in (str(path), f"file://{tmp_path}/a%20b.mp4", f"file://localhost{tmp_path}/a%20b.mp4"):
        with open_source(source) as opened:
            assert opened == path
    assert path.exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "non-empty"),
        ("a\0b", "NUL"),
        ("file:///a%00b", "names no file"),
        ("file://", "names no file"),
        ("file://nas/share/a.mp4", "another host"),
        ("ftp://media.example/a.mp4", "ftp:// is not known"),
        ("s3://bucket/key", "s3:// is not known"),
        ("file://[bad/a.mp4", "not a URL"),
        ("/nowhere/a.mp4", "does not exist"),
        ("/" + "x" * 5_000, "File name too long"),
        ("/", "is a folder"),
    ],
)
def test_a_bad_source_is_an_input_failure(tmp_path: Path, source: str, words: str) -> None:
    """What cannot be found or understood is the job's fault, and the message says which."""
    error = _failure(source, tmp_path)
    assert error.failure_class == "input"
    assert words in error.message


def test_a_windows_path_is_no_url() -> None:
    """A drive letter is not taken for a scheme."""
    assert local_path("C:/media/a.mp4") == Path("C:/media/a.mp4")


def test_a_remote_file_is_fetched_and_removed(tmp_path: Path, origin: str) -> None:
    """The bytes arrive, progress ends at the announced size, and nothing is left behind."""
    told: list[tuple[int, int | None]] = []
    with open_source(
        f"{origin}/good.mp4", folder=tmp_path, on_bytes=lambda *numbers: told.append(numbers)
    ) as opened:
        assert opened.read_bytes() == BODY
        assert opened.suffix == ".mp4"
        assert opened.parent == tmp_path
    assert told[-1] == (len(BODY), len(BODY))
    assert not list(tmp_path.iterdir())


def test_a_redirect_is_followed(tmp_path: Path, origin: str) -> None:
    """Media servers move files about."""
    with open_source(f"{origin}/moved", folder=tmp_path) as opened:
        assert opened.stat().st_size == len(BODY)


@pytest.mark.parametrize("path", ["/missing", "/cut", "/escape", "/loop"])
def test_a_refusing_or_broken_origin_is_an_input_failure(tmp_path: Path, origin: str, path: str) -> None:
    """A missing file, one cut short, a way out to local files and a circle of redirects are no sources."""
    assert _failure(origin + path, tmp_path).failure_class == "input"


@pytest.mark.parametrize("source", ["http://127.0.0.1:9/a.mp4", "http://", "http://[bad/", "http://a b/"])
def test_an_address_nobody_answers_is_an_input_failure(tmp_path: Path, source: str) -> None:
    """A closed port and an impossible address are told from a slow server."""
    assert _failure(source, tmp_path).failure_class == "input"


@pytest.mark.parametrize("path", ["/good.mp4", "/endless"], ids=["announced", "not-announced"])
def test_a_source_over_the_size_limit_is_refused(tmp_path: Path, origin: str, path: str) -> None:
    """Whether its length was announced or not."""
    error = _failure(origin + path, tmp_path, limits=FetchLimits(size_bytes_max=len(BODY) - 1))
    assert error.failure_class == "input"
    assert "larger than" in error.message


@pytest.mark.parametrize(
    ("path", "limits"),
    [("/silent", FetchLimits(silence_s=0.2)), ("/drip", FetchLimits(total_s=0.3))],
    ids=["silent", "dripping"],
)
def test_a_silent_or_dripping_origin_is_a_timeout(
    tmp_path: Path, origin: str, path: str, limits: FetchLimits
) -> None:
    """Saying nothing and saying a byte now and then both end."""
    assert _failure(origin + path, tmp_path, limits=limits).failure_class == "timeout"


def test_a_fetch_can_be_cancelled_while_the_origin_is_silent(tmp_path: Path, origin: str) -> None:
    """Nobody waits for a read that does not return."""
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    before = time.monotonic()
    assert _failure(f"{origin}/silent", tmp_path, cancelled=cancelled).failure_class == "cancelled"
    assert time.monotonic() - before < 4.0


def test_a_callback_that_raises_ends_the_fetch(tmp_path: Path, origin: str) -> None:
    """The caller's error comes out as it is."""

    def refuse(received: int, total: int | None) -> None:
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        open_source(f"{origin}/good.mp4", folder=tmp_path, on_bytes=refuse),
    ):
        pytest.fail("the source was opened")
    assert not list(tmp_path.iterdir())


def test_without_room_for_temporary_files_it_is_a_resource_failure(tmp_path: Path, origin: str) -> None:
    """A scratch folder that is not there is this engine's trouble."""
    with pytest.raises(TranscodeError) as caught, open_source(f"{origin}/good.mp4", folder=tmp_path / "gone"):
        pytest.fail("the source was opened")
    assert caught.value.failure_class == "resource"


def test_secrets_in_an_address_are_not_shown(tmp_path: Path, origin: str) -> None:
    """Messages name neither password nor signature."""
    address = origin.replace("http://", "http://ann:secret@") + "/missing?signature=abc"
    error = _failure(address, tmp_path)
    assert "404" in error.message
    assert "secret" not in error.message + error.detail
    assert "abc" not in error.message + error.detail
    assert shown("/plain/path") == "/plain/path"
