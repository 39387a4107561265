"""The upkeep of a store in PostgreSQL: what it says of itself, its check, backups by PostgreSQL's own programs, a new life."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from sqlalchemy import create_engine

from dispatch_core import (
    CommandRejectedError,
    Dispatcher,
    InvalidCommandError,
    LeaseLostError,
    SchemaMismatchError,
    Storage,
    StorageInUseError,
    StorageUnavailableError,
)
from dispatch_core.storage import (
    SharedInfo,
    backup_store,
    create_storage,
    migrate_store,
    renew_store,
    restore_store,
    store_info,
    verify_store,
)
from dispatch_core.storage.sql import migrating, schema
from dispatch_core.storage.sql.judging import Findings, check_rows
from dispatch_core.storage.sql.postgresql_patience import PatientConnection
from dispatch_core.storage.sql.postgresql_verify import _reader
from dispatch_core.testing.checkers import check_store
from tests.core.house import spec, start
from tests.core.storage.filled import fill
from tests.core.storage.test_verify import CHANGES
from tests.support.postgres import Postgres

OF_FILES = ("meta", "alembic_version")
TABLES = [table.name for table in schema.metadata.sorted_tables if table.name != "meta"]


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def digest(server: Postgres, url: str) -> str:
    """Of every row of every table, but for what names the store's present life."""
    sums = hashlib.sha256()
    for table in TABLES:
        rows = server.execute(
            f"SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE \"C\"), '')) FROM {table} t",
            database=name_of(url),
        )
        sums.update(f"{table} {rows}".encode())
    return sums.hexdigest()


def told(storage: Storage) -> set[str]:
    """The records that the history tells of."""
    with storage.read() as snapshot:
        return {row.ref[1] for row in snapshot.history(limit=1_000)}


@pytest.fixture
def url(postgres_url: str) -> str:
    """A store with a past."""
    with closing(create_storage(postgres_url)) as storage:
        fill(storage)
    return postgres_url


# ----- looking


def test_info_tells_who_is_connected(url: str) -> None:
    """Its size, its schema, its life, how many jobs; and each server by the name it gave itself."""
    with closing(create_storage(url, server_id="rack-1:8080")) as storage:
        with storage.read() as snapshot:
            snapshot.now()
        info = store_info(url)
    assert isinstance(info, SharedInfo)
    assert (info.revision, info.incarnation) == (schema.HEAD, storage.incarnation)
    assert sum(info.jobs.values()) == 13
    assert info.connected == {"dispatch rack-1:8080": 1}
    assert info.size_bytes > 1_000_000
    assert info.server_version
    assert info.oldest_write_s < 60


def test_info_tells_of_a_transaction_that_holds_events_back(url: str, postgres_server: Postgres) -> None:
    """Also of one in another database of that server: transactions are numbered for all of them."""
    other = postgres_server.url().replace("+psycopg", "")
    with psycopg.connect(other) as connection:
        connection.execute("SELECT pg_current_xact_id()")
        info = store_info(url)
        assert isinstance(info, SharedInfo)
        assert info.oldest_write_s > 0
        with closing(create_storage(url)) as storage:
            with Dispatcher(storage) as dispatcher:
                job = dispatcher.submit(spec())
            assert job.id not in told(storage)
            connection.rollback()
            assert job.id in told(storage)


# ----- verifying


def test_a_sound_store_passes_while_servers_go_on(url: str) -> None:
    """Nothing has to stop, and progress is told to the end."""
    told: list[tuple[str, int, int]] = []
    with closing(create_storage(url)):
        verdict = verify_store(url, tell=lambda *step: told.append(step))
    assert (verdict.ok, verdict.read, verdict.findings) == (True, True, ())
    assert (verdict.counts["jobs"], verdict.counts["attempts"], verdict.counts["engines"]) == (13, 6, 1)
    assert told[-1][1] == told[-1][2] > 0


def test_every_wrong_row_is_found_as_in_a_file(url: str) -> None:
    """The changes that the check of a file must find, each undone after it was found."""
    with PatientConnection.connect(url.replace("+psycopg", "")) as connection:
        for statement, finding in CHANGES:
            if any(table in statement for table in OF_FILES):
                continue
            assert connection.execute(statement.encode()).rowcount > 0, statement
            findings = Findings()
            check_rows(_reader(connection), findings, Counter(), lambda *_: None)
            assert finding in "\n".join(findings.kept), statement
            connection.rollback()


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE jobs SET priority = priority + 1", "its priority is"),
        ("DELETE FROM meta WHERE name = 'incarnation'", "the incarnation is lost"),
        ("DROP INDEX ready", "schema: add_index ready"),
        ("ALTER TABLE jobs ADD COLUMN by_hand text", "schema: remove_column"),
        ("UPDATE alembic_version SET version_num = '9999'", "schema 9999"),
    ],
)
def test_what_is_wrong_is_told(postgres_server: Postgres, url: str, statement: str, finding: str) -> None:
    """In rows, in what the store says of itself, and in its tables."""
    copy = postgres_server.database(name_of(url))
    postgres_server.execute(statement, database=name_of(copy))
    verdict = verify_store(copy)
    assert not verdict.ok
    assert finding in "\n".join(verdict.findings)
    postgres_server.drop(copy)


# ----- migrating, and what PostgreSQL does itself


def test_a_store_of_this_schema_needs_no_migration(url: str, postgres_server: Postgres) -> None:
    """It says so; a database without tables is not given any."""
    done = migrate_store(url)
    assert (done.before, done.after, done.copy) == (schema.HEAD, schema.HEAD, None)
    empty = postgres_server.database()
    with pytest.raises(StorageUnavailableError, match="no tables of Dispatch"):
        migrate_store(empty)
    with pytest.raises(StorageUnavailableError, match="no tables of Dispatch"):
        store_info(empty)
    assert "revision is lost" in verify_store(empty).findings[0]
    postgres_server.drop(empty)


def test_backups_are_postgresqls_and_the_refusal_says_how() -> None:
    """The command, whole, with the database in it and without its password."""
    url = "postgresql+psycopg://me:hunter2@db.example:5432/farm?sslmode=require"
    with pytest.raises(CommandRejectedError, match="pg_dump") as refused:
        backup_store(url, "/backups/farm.dump")
    assert "pg_dump --format=custom --file=/backups/farm.dump postgresql://me@db.example:5432/farm" in str(
        refused.value
    )
    with pytest.raises(CommandRejectedError, match="pg_restore") as refused:
        restore_store(url, "/backups/farm.dump")
    assert "--dbname=postgresql://me@db.example:5432/NEW /backups/farm.dump" in str(refused.value)


# ----- a new life


def test_a_new_life_ends_every_lease_of_the_former(url: str) -> None:
    """Refused while a server is connected, by its name; then the tokens of before are lost and the jobs granted anew."""
    with closing(create_storage(url, server_id="rack-1:8080")) as storage:
        before = storage.incarnation
        with Dispatcher(storage) as dispatcher:
            start(dispatcher, "e2")
            [lease] = dispatcher.claim("e2", session="s1")
        with pytest.raises(StorageInUseError, match="dispatch rack-1:8080"):
            renew_store(url)
    done = renew_store(url)
    assert (done.before, done.incarnation != before) == (before, True)
    with closing(create_storage(url)) as storage:
        assert storage.incarnation == done.incarnation
        with Dispatcher(storage) as dispatcher, pytest.raises(LeaseLostError):
            dispatcher.complete(lease)
    assert verify_store(url).ok


def test_a_new_life_can_be_forced_and_is_refused_where_it_means_nothing(
    url: str, postgres_server: Postgres
) -> None:
    """Servers that stay must be started anew; a file begins a new life when it is restored; nor an unknown schema."""
    with closing(create_storage(url)) as storage:
        with storage.read() as snapshot:
            snapshot.now()
        assert renew_store(url, force=True).before == storage.incarnation
    with pytest.raises(InvalidCommandError, match="file begins a new life"):
        renew_store("jobs.db")
    copy = postgres_server.database(name_of(url))
    postgres_server.execute("UPDATE alembic_version SET version_num = '0003'", database=name_of(copy))
    with pytest.raises(SchemaMismatchError, match="0003"):
        renew_store(copy)
    postgres_server.drop(copy)


@pytest.mark.parametrize("change", ["home", "incarnation"])
def test_a_server_that_runs_notices_another_life(url: str, postgres_server: Postgres, change: str) -> None:
    """When it connects anew: the database was promoted from a standby, or another server has begun a new life of it.
    One call is refused; then it goes on in the new life, and tokens of the former are lost.
    """
    with closing(create_storage(url)) as storage, Dispatcher(storage) as dispatcher:
        start(dispatcher, "e2")
        [lease] = dispatcher.claim("e2", session="s1")
        before = storage.incarnation
        postgres_server.execute(
            "UPDATE meta SET value = 'another' WHERE name = %s", [change], database=name_of(url)
        )
        postgres_server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name_of(url)]
        )
        with pytest.raises(StorageUnavailableError, match="another life"):
            dispatcher.tick()
        dispatcher.tick()
        assert storage.incarnation not in {before, *({"another"} if change == "home" else ())}
        with pytest.raises(LeaseLostError):
            dispatcher.complete(lease)
        dispatcher.submit(spec())


def test_of_several_hosts_the_one_that_takes_writes_is_used(url: str) -> None:
    """One that is away is passed over; messages name them all."""
    host = url.partition("@")[2].partition("/")[0]
    both = url.replace(host, f"127.0.0.1:1,{host}") + "?target_session_attrs=read-write"
    info = store_info(both)
    assert isinstance(info, SharedInfo)
    assert f"127.0.0.1:1, {host}" in info.name
    with closing(create_storage(both)) as storage, Dispatcher(storage) as dispatcher:
        dispatcher.submit(spec())


# ----- back up and restore


@contextmanager
def submitting(url: str) -> Iterator[list[str]]:
    """Somebody who submits all the while; the ids that were acknowledged so far."""
    acknowledged: list[str] = []
    stop = threading.Event()
    with closing(create_storage(url, server_id="busy")) as storage, Dispatcher(storage) as dispatcher:

        def submit() -> None:
            while not stop.is_set():
                acknowledged.append(dispatcher.submit(spec()).id)

        thread = threading.Thread(target=submit)
        thread.start()
        try:
            yield acknowledged
        finally:
            stop.set()
            thread.join()


@pytest.mark.checklist(4)
def test_a_dump_taken_while_serving_restores_one_moment(url: str, postgres_server: Postgres) -> None:
    """Into a new database: all that was acknowledged before it began, nothing from after it ended, every law kept;
    and what was dumped in quiet is the same to the row. Its first server begins a new life: tokens of before are lost.
    """
    with closing(create_storage(url)) as storage, Dispatcher(storage) as dispatcher:
        start(dispatcher, "e2")
        [lease] = dispatcher.claim("e2", session="s1")
        life = storage.incarnation
    quiet = digest(postgres_server, url)
    dump(postgres_server, url, "quiet")
    with submitting(url) as acknowledged:
        before = set(acknowledged)
        dump(postgres_server, url, "busy")
        after = len(acknowledged)
    late = set(acknowledged[after + 1 :])
    restored, moment = restore(postgres_server, "quiet"), restore(postgres_server, "busy")
    assert digest(postgres_server, restored) == quiet
    assert verify_store(moment).ok
    kept = {job_id for (job_id,) in postgres_server.execute("SELECT id FROM jobs", database=name_of(moment))}
    assert before <= kept
    assert not kept & late
    with closing(create_storage(restored)) as storage, Dispatcher(storage) as dispatcher:
        assert storage.incarnation != life
        with pytest.raises(LeaseLostError):
            dispatcher.complete(lease)
        dispatcher.submit(spec())
        check_store(storage, 16)
    for each in (restored, moment):
        postgres_server.drop(each)


def dump(server: Postgres, url: str, name: str) -> None:
    """As an operator does it."""
    server.tool("pg_dump", "--format=custom", f"--file={server.folder / name}", url.replace("+psycopg", ""))


def restore(server: Postgres, name: str) -> str:
    """Into a database made for it; its URL."""
    url = server.database()
    target = f"--dbname={url.replace('+psycopg', '')}"
    server.tool("pg_restore", "--exit-on-error", "--no-owner", target, str(server.folder / name))
    return url


def test_a_migration_takes_as_long_as_it_needs(
    postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time-outs of a server's sessions do not hold for it: an index over a million rows takes longer."""
    seen: list[str] = []
    upgrade = migrating.upgrade_postgresql

    def watched(connection: PatientConnection) -> None:
        seen.extend(value for (value,) in connection.execute("SHOW statement_timeout"))
        assert connection.patience_s is None
        upgrade(connection)

    monkeypatch.setattr(migrating, "upgrade_postgresql", watched)
    url = postgres_server.database()
    engine = create_engine(url)
    with engine.begin() as connection:
        migrating.upgrade_over(connection, "0001")
    engine.dispose()
    postgres_server.execute(
        "INSERT INTO meta VALUES ('incarnation', 'OLDLIFE00000'), ('tx_base', '0')", database=name_of(url)
    )
    create_storage(url).close()
    assert seen == ["0"]
    postgres_server.drop(url)
