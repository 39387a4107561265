"""A PostgreSQL whose processes stand still while its machine answers: every call ends, within a known time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from urllib.parse import quote

import pytest

from dispatch_core.ports.storage import Storage
from dispatch_core.storage import create_storage
from dispatch_core.storage.sql import postgresql_patience
from dispatch_core.testing.samples import a_job, added, changed, load, next_version, save
from dispatch_core.vocabulary.errors import StorageUnavailableError
from dispatch_core.vocabulary.records import ref_of
from tests.support.postgres import FAST, Postgres, postgres

STATEMENT_S, PROMPT_S, MARGIN_S = 1.0, 0.5, 0.5
SLACK_S = 5.0
"""What a busy machine may add."""

Call = Callable[[Storage], object]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL that may be stopped."""
    with postgres({**FAST, "synchronous_commit": "on"}, own=True) as server:
        yield server


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """For the block it stands still."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@pytest.fixture
def storage(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """A store with one job and a kept connection; everything is waited for for a second or so."""
    monkeypatch.setattr(postgresql_patience, "PROMPT_S", PROMPT_S)
    monkeypatch.setattr(postgresql_patience, "MARGIN_S", MARGIN_S)
    options = quote(f"-c statement_timeout={STATEMENT_S:g}s")
    url = f"{server.database()}?options={options}&connect_timeout=2"
    with closing(create_storage(url)) as storage:
        save(storage, added(a_job("a")))
        yield storage


def begin_to_read(storage: Storage) -> None:
    """On a connection that was kept."""
    load(storage, a_job("a"))


def begin_to_write(storage: Storage) -> None:
    """On a connection that was kept."""
    save(storage, added(a_job("b")))


@pytest.mark.parametrize(("call", "times"), [(begin_to_read, 2), (begin_to_write, 1)])
def test_a_call_on_a_kept_connection_ends_soon(
    server: Postgres, storage: Storage, call: Call, times: int
) -> None:
    """Nothing takes long to begin: it is refused like a new connection, those after it too, and goes on with the database."""
    with frozen(server):
        for _ in range(times):
            begun = time.monotonic()
            with pytest.raises(StorageUnavailableError):
                call(storage)
            assert time.monotonic() - begun < 2 + SLACK_S
    assert eventually(storage) == a_job("a")


def test_a_statement_is_waited_for_as_long_as_it_may_take(server: Postgres, storage: Storage) -> None:
    """And a little longer, for its refusal to arrive."""
    with storage.read() as snapshot:
        snapshot.load([ref_of(a_job("a"))])
        begun = time.monotonic()
        with frozen(server), pytest.raises(StorageUnavailableError, match="may stand still"):
            snapshot.load([ref_of(a_job("b"))])
        assert STATEMENT_S <= time.monotonic() - begun < STATEMENT_S + MARGIN_S + SLACK_S
    assert eventually(storage) == a_job("a")


def test_writes_are_waited_for_as_long(server: Postgres, storage: Storage) -> None:
    """They go to the database together, and are undone together."""

    def write() -> None:
        with storage.begin() as transaction:
            transaction.load([ref_of(a_job("a"))], lock=True)
            with frozen(server):
                transaction.save(changed((a_job("a"), next_version(a_job("a")))))

    with pytest.raises(StorageUnavailableError, match="nothing was written"):
        write()
    assert eventually(storage) == a_job("a")


def test_a_commit_without_an_answer_is_an_unknown_outcome(server: Postgres, storage: Storage) -> None:
    """It says so: whoever hears it may repeat with the same key. This one was done when the database went on."""

    def commit() -> None:
        with storage.begin() as transaction:
            transaction.save(changed((a_job("a"), next_version(a_job("a")))))
            server.freeze()

    begun = time.monotonic()
    try:
        with pytest.raises(StorageUnavailableError, match="the outcome is unknown"):
            commit()
    finally:
        server.thaw()
    assert time.monotonic() - begun < STATEMENT_S + MARGIN_S + SLACK_S
    assert eventually(storage) == next_version(a_job("a"))


def test_a_commit_that_waits_for_its_standby_ends(server: Postgres, storage: Storage) -> None:
    """No timeout of PostgreSQL's ends it; whoever waits hears that the outcome is unknown."""

    def save_many() -> None:
        for number in range(1_000):  # a reload takes effect a moment later: the first need not wait
            save(storage, added(a_job(f"b{number}")))

    server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.execute("SELECT pg_reload_conf()")
    try:
        with pytest.raises(StorageUnavailableError, match=r"the outcome is unknown.*a standby"):
            save_many()
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")
    assert eventually(storage) == a_job("a")


def test_all_callers_are_answered(server: Postgres, storage: Storage) -> None:
    """However many there are: each waits once, not for one connection after the other."""

    def ask(_: int) -> bool:
        try:
            begin_to_read(storage)
        except StorageUnavailableError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(64)))  # as many connections as are ever kept
        with frozen(server):
            begun = time.monotonic()
            assert not any(pool.map(ask, range(8)))
            assert time.monotonic() - begun < 2 * 2 + SLACK_S
    assert eventually(storage) == a_job("a")


def eventually(storage: Storage) -> object:
    """The job, as soon as the store answers."""
    until = time.monotonic() + 10
    while True:
        try:
            return load(storage, a_job("a"))
        except StorageUnavailableError:
            assert time.monotonic() < until
            time.sleep(0.05)
