"""An SQLite file is opened as promised, or refused with its name and the mend; then used by one owner."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import pytest

from dispatch_core.ports.storage import Tally
from dispatch_core.storage import create_storage
from dispatch_core.storage.sql import SqlStorage
from dispatch_core.storage.sql.sqlite import SqliteFile, Writer
from dispatch_core.storage.sql.sqlite_session import SqliteSession
from dispatch_core.testing.samples import a_job, a_ready_job, a_row, added, changed, load, next_version, save
from dispatch_core.vocabulary.errors import (
    SchemaMismatchError,
    StorageDamagedError,
    StorageError,
    StorageInUseError,
    StorageUnavailableError,
)
from dispatch_core.vocabulary.jobs import Ready
from dispatch_core.vocabulary.records import ref_of


def opened(path: Path, *, init: bool = True) -> SqlStorage:
    storage = create_storage(path, init=init)
    assert isinstance(storage, SqlStorage)
    return storage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SqlStorage]:
    with closing(opened(path)) as storage:
        yield storage


def pragma(session: SqliteSession, name: str) -> object:
    return session.rows(f"PRAGMA {name}")[0][0]


@pytest.mark.checklist(2)
def test_the_writer_is_as_durable_as_promised(storage: SqlStorage) -> None:
    with writer_of(storage).turn() as session:
        found = {name: pragma(session, name) for name in (
            "journal_mode", "synchronous", "busy_timeout", "wal_autocheckpoint", "journal_size_limit")}  # fmt: skip
    assert found == {
        "journal_mode": "wal", "synchronous": 2, "busy_timeout": 5_000, "wal_autocheckpoint": 8_000,
        "journal_size_limit": 64 * 1024 * 1024,
    }  # fmt: skip


def test_readers_cannot_write_and_never_checkpoint(storage: SqlStorage) -> None:
    with storage._database.read() as session:
        assert pragma(session, "query_only") == 1
        assert pragma(session, "wal_autocheckpoint") == 0
        with pytest.raises(StorageUnavailableError):
            session.write([("DELETE FROM jobs", [()])])


def test_a_reader_sees_one_moment(storage: SqlStorage) -> None:
    save(storage, added(a_ready_job("a")))
    with storage.read() as snapshot:
        assert len(snapshot.buckets()) == 1
        save(storage, added(a_ready_job("b", bucket=("open", "other"))))
        assert len(snapshot.buckets()) == 1
    with storage.read() as snapshot:
        assert len(snapshot.buckets()) == 2


def test_an_old_snapshot_is_not_told_of_newer_versions_or_lanes(storage: SqlStorage) -> None:
    job = a_ready_job("a")
    save(storage, added(job))
    with storage.read() as snapshot:
        assert snapshot.load([ref_of(job)]) == {ref_of(job): job}
        moved = attrs.evolve(job, ready=Ready("engine:e", "class-a", 0, 0, 10, 1.5))
        save(storage, changed((job, moved)))
        assert snapshot.load([ref_of(job)]) == {ref_of(job): job}
        save(storage, changed((moved, next_version(moved, held="now"))))
        assert snapshot.load([ref_of(job)]) == {ref_of(job): job}


def test_no_file_is_left_half_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_connection: sqlite3.Connection) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dispatch_core.storage.sql.sqlite_file.create_schema", crash)
    with pytest.raises(KeyboardInterrupt):
        opened(path)
    monkeypatch.undo()
    assert not path.exists()
    opened(path).close()
    assert path.stat().st_size > 0


# ----- start or refuse


def made(path: Path, *statements: str) -> None:
    with closing(opened(path)) as storage:
        save(storage, added(*(a_job(f"job-{n}") for n in range(500))))
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def zero_length(path: Path) -> None:
    path.touch()


def not_a_database(path: Path) -> None:
    path.write_text(json.dumps({"jobs": ["x" * 200]}))


def short(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00")


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photos (id)")


def half_a_file(path: Path) -> None:
    made(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed_page(path: Path) -> None:
    made(path)
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_age'"
        ).fetchone()
    content[(root - 1) * 4096 : root * 4096] = bytes(4096)
    path.write_bytes(content)


def bad_header(path: Path) -> None:
    made(path)
    content = bytearray(path.read_bytes())
    content[16:32] = b"\xff" * 16
    path.write_bytes(content)


def no_revision(path: Path) -> None:
    made(path, "DROP TABLE alembic_version")


def no_incarnation(path: Path) -> None:
    made(path, "DELETE FROM meta")


def newer_schema(path: Path) -> None:
    made(path, "UPDATE alembic_version SET version_num = '9999'")


def folder(path: Path) -> None:
    path.mkdir()


def log_without_database(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(b"x")


REFUSED: list[tuple[Callable[[Path], None], type[StorageError]]] = [
    (zero_length, StorageDamagedError),
    (not_a_database, StorageDamagedError),
    (short, StorageDamagedError),
    (foreign, StorageDamagedError),
    (half_a_file, StorageDamagedError),
    (zeroed_page, StorageDamagedError),
    (bad_header, StorageDamagedError),
    (no_revision, StorageDamagedError),
    (no_incarnation, StorageDamagedError),
    (log_without_database, StorageDamagedError),
    (newer_schema, SchemaMismatchError),
    (folder, StorageUnavailableError),
]


@pytest.mark.parametrize(("make", "error"), REFUSED, ids=lambda each: each.__name__)
@pytest.mark.checklist(34)
def test_what_cannot_be_read_is_refused_and_not_touched(
    path: Path, make: Callable[[Path], None], error: type[StorageError]
) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(error) as caught:
        opened(path)
    assert str(path) in str(caught.value)
    assert type(caught.value) is error
    assert (path.read_bytes() if path.is_file() else None) == before
    path.rename(path.with_name("aside")) if path.exists() else None
    path.with_name(path.name + "-wal").unlink(missing_ok=True)
    opened(path).close()  # the refusal kept no lock


def test_an_empty_file_is_called_empty(path: Path) -> None:
    path.touch()
    with pytest.raises(StorageDamagedError, match="0 bytes"):
        opened(path)


def test_a_missing_file_is_made_only_when_allowed(path: Path) -> None:
    with pytest.raises(StorageUnavailableError, match="init=True"):
        opened(path, init=False)
    assert not path.exists()
    with pytest.raises(StorageUnavailableError, match="folder"):
        opened(path.parent / "none" / "jobs.db")


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Root may write anything anywhere; a test of permissions has to be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o777)
        yield place
        place.chmod(0o777)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_read_only_place_is_named(shared_folder: Path) -> None:
    path = shared_folder / "jobs.db"
    shared_folder.chmod(0o555)
    with as_ordinary_user(), pytest.raises(StorageUnavailableError, match="writable"):
        opened(path)
    shared_folder.chmod(0o777)
    opened(path).close()
    path.with_name("jobs.db.lock").chmod(0o666)
    path.chmod(0o444)
    with as_ordinary_user(), pytest.raises(StorageUnavailableError, match="read-only") as caught:
        opened(path)
    assert str(path) in str(caught.value)


# ----- one owner


def test_a_second_handle_is_refused(storage: SqlStorage, path: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageInUseError, match=str(os.getpid())):
        opened(path)
    link = tmp_path / "other-name.db"
    link.symlink_to(path)
    with pytest.raises(StorageInUseError):
        opened(link)
    storage.close()
    opened(path).close()


def test_a_second_process_is_refused(storage: SqlStorage, path: Path) -> None:
    program = f"from dispatch_core.storage import create_storage; create_storage({str(path)!r})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "StorageInUseError" in run.stderr
    assert str(path) in run.stderr


WRITE_FOR_EVER = """
import sys
from dispatch_core.storage import create_storage
from dispatch_core.testing.samples import a_ready_job, a_row, added, save

storage = create_storage(sys.argv[1])
with storage.read() as snapshot:
    done = len(snapshot.history(limit=1_000_000))
while True:
    job = a_ready_job(f"job-{done}", done)
    save(storage, added(job, history=[a_row(job)], counters={("default", "pending"): 1}))
    done += 1
    print(done, flush=True)
"""


@pytest.mark.checklist(2)
def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    acknowledged = 0
    for round_number in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged = int(line)
            if acknowledged >= 40 * (round_number + 1):
                break
        time.sleep(0.003 * round_number)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().splitlines()
        acknowledged = max([acknowledged, *(int(line) for line in rest if line)])
        process.stdout.close()
        process.wait()
    with closing(opened(path)) as storage, storage.read() as snapshot:
        rows = snapshot.history(limit=1_000_000)
        stored = len(snapshot.heads([("open", "class-a")], 1_000_000)[("open", "class-a")])
        counted = [cell.count for cell in snapshot.tally(Tally.COUNTERS)]
    assert counted == [len(rows)]
    assert acknowledged <= len(rows) <= acknowledged + 1
    assert stored == len(rows)
    assert [row.ref[1] for row in rows] == [f"job-{n}" for n in range(len(rows))]


# ----- failing honestly


def writer_of(storage: SqlStorage) -> Writer:
    """The one connection that writes."""
    database = storage._database
    assert isinstance(database, SqliteFile)
    return database.writer


class Failing:
    """The driver's cursor, with one statement that fails."""

    def __init__(self, session: SqliteSession, statement: str, *, after: bool = False) -> None:
        self._control = session.control
        self._statement, self._after = statement, after

    def __call__(self, text: str) -> None:
        if text == self._statement and self._after:
            self._control(text)
        if text == self._statement:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        self._control(text)


@pytest.mark.parametrize("after", [False, True])
def test_a_failed_commit_is_of_unknown_outcome_and_stops_the_handle(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    job = a_ready_job("a")
    with writer_of(storage).turn() as session:
        monkeypatch.setattr(session, "control", Failing(session, "COMMIT", after=after))
    with pytest.raises(StorageUnavailableError, match="outcome is unknown"):
        save(storage, added(job, history=[a_row(job)]))
    with pytest.raises(StorageUnavailableError, match="opened anew"):
        save(storage, added(a_job("b")))
    monkeypatch.undo()
    storage.reopen()
    assert load(storage, job) == (job if after else None)
    save(storage, added(a_job("b"), history=[a_row(a_job("b"))]))
    with storage.read() as snapshot:
        places = [(row.tx, row.n) for row in snapshot.history()]
    assert len(set(places)) == len(places) == 1 + after


def test_a_full_disk_refuses_and_recovers(storage: SqlStorage) -> None:
    save(storage, added(a_job("before")))
    with writer_of(storage).turn() as session:
        pages = pragma(session, "page_count")
        session.rows(f"PRAGMA max_page_count={pages}")
    many = added(*(a_job(f"job-{n}") for n in range(500)))
    with pytest.raises(StorageUnavailableError, match="disk is full"):
        save(storage, many)
    assert load(storage, a_job("before")) is not None
    assert load(storage, a_job("job-0")) is None
    with writer_of(storage).turn() as session:
        session.rows("PRAGMA max_page_count=1000000")
    save(storage, many)
    assert load(storage, a_job("job-499")) is not None


def test_a_forked_process_is_refused(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(StorageUnavailableError, match="fork"), storage.begin():
        pass
    with pytest.raises(StorageUnavailableError, match="fork"):
        storage.reopen()


def test_a_closed_store_does_not_come_back(storage: SqlStorage, path: Path) -> None:
    storage.close()
    with pytest.raises(StorageUnavailableError, match="closed"):
        storage.reopen()
    opened(path).close()
