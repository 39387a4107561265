"""What only a store of many servers must do, on a real PostgreSQL."""

from __future__ import annotations

import itertools
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from urllib.parse import quote

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from dispatch_core.ports.storage import Change, ChangeSet, Query, Recorded, Storage, Tally
from dispatch_core.storage import create_storage
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.postgresql import PostgresqlDatabase
from dispatch_core.storage.sql.storage import SqlStorage
from dispatch_core.testing.samples import (
    a_job,
    a_pulse,
    a_ready_job,
    a_row,
    added,
    an_attempt,
    an_engine,
    changed,
    load,
    next_version,
    save,
)
from dispatch_core.vocabulary.errors import (
    ConflictError,
    SchemaMismatchError,
    StorageUnavailableError,
)
from dispatch_core.vocabulary.jobs import JobState
from dispatch_core.vocabulary.records import RecordType, ref_of
from tests.support.postgres import FAST, Postgres, postgres

JOB = RecordType.JOB


@pytest.fixture
def servers(postgres_url: str) -> Iterator[Callable[..., SqlStorage]]:
    """Handles of one store, as many servers have them; ``options`` are settings of their sessions."""
    numbers = itertools.count()
    with ExitStack() as opened:

        def open_one(**options: str) -> SqlStorage:
            given = " ".join(f"-c {name}={value}" for name, value in options.items())
            url = f"{postgres_url}?options={quote(given)}" if given else postgres_url
            storage = create_storage(url, server_id=f"server {next(numbers)}")
            assert isinstance(storage, SqlStorage)
            opened.callback(storage.close)
            return storage

        yield open_one


def feed(storage: Storage) -> list[Recorded]:
    """The history, as those read it who follow it."""
    with storage.read() as snapshot:
        return list(snapshot.history(limit=1_000))


# ----- locks


def test_what_another_server_has_taken_is_left_out(servers: Callable[..., SqlStorage]) -> None:
    """Two servers that want the same jobs get different ones, and neither waits."""
    one, other = servers(), servers()
    save(one, added(*(a_ready_job(name) for name in "abc")))
    with one.begin() as first, other.begin() as second:
        assert set(first.take(["a", "b"])) == {"a", "b"}
        assert set(second.take(["a", "b", "c"])) == {"c"}
    with other.begin() as third:
        assert set(third.take(["a", "b", "c"])) == {"a", "b", "c"}


def test_who_locks_sees_what_the_one_before_has_done(servers: Callable[..., SqlStorage]) -> None:
    """A lock is waited for, and what is read with it is what was committed meanwhile."""
    one, other = servers(), servers()
    engine = an_engine()
    save(one, added(engine))
    asked = threading.Event()

    def second() -> object:
        with other.begin() as transaction:
            asked.set()
            return transaction.load([ref_of(engine)], lock=True)[ref_of(engine)].version

    with ThreadPoolExecutor(1) as pool:
        with one.begin() as transaction:
            transaction.load([ref_of(engine)], lock=True)
            waiting = pool.submit(second)
            assert asked.wait(10)
            transaction.save(changed((engine, next_version(engine))))
        assert waiting.result(10) == engine.version + 1


def test_a_server_that_stands_still_loses_its_locks(servers: Callable[..., SqlStorage]) -> None:
    """Another gets them after the timeout, and what the first one says when it goes on is refused."""
    frozen, other = servers(idle_in_transaction_session_timeout="200ms"), servers()
    job = a_job()
    save(other, added(job))

    def slowly() -> None:
        with frozen.begin() as slow:
            slow.load([ref_of(job)], lock=True)
            save(other, changed((job, next_version(job, held="other"))))
            slow.save(changed((job, next_version(job, held="slow"))))

    with pytest.raises(StorageUnavailableError, match=r"stood still|nothing was written"):
        slowly()
    assert load(frozen, job) == next_version(job, held="other")


def test_a_lock_that_is_never_given_up_is_not_waited_for_for_ever(servers: Callable[..., SqlStorage]) -> None:
    """After lock_timeout the answer says why."""
    one, other = servers(), servers(lock_timeout="100ms")
    save(one, added(a_job()))
    with one.begin() as holder:
        holder.load([ref_of(a_job())], lock=True)
        with (
            pytest.raises(StorageUnavailableError, match="another server has held"),
            other.begin() as waiting,
        ):
            waiting.load([ref_of(a_job())], lock=True)


def test_a_deadlock_is_a_conflict(servers: Callable[..., SqlStorage]) -> None:
    """Whoever is chosen to lose decides again; nothing is written by halves."""
    stores = servers(), servers()
    save(stores[0], added(a_job("a"), a_job("b")))
    both = threading.Barrier(2)

    def cross(storage: SqlStorage, first: str, second: str) -> str:
        try:
            with storage.begin() as transaction:
                transaction.load([(JOB, first)], lock=True)
                both.wait(10)
                transaction.load([(JOB, second)], lock=True)
        except ConflictError:
            return "lost"
        return "won"

    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(cross, stores[0], "a", "b"), pool.submit(cross, stores[1], "b", "a")]
    assert sorted(end.result() for end in ends) == ["lost", "won"]


# ----- history


def test_history_is_not_told_past_a_commit_that_is_still_to_come(servers: Callable[..., SqlStorage]) -> None:
    """Whoever follows the history by its places misses nothing, however commits overlap."""
    one, other = servers(), servers()
    a, b = a_job("a"), a_job("b")
    with one.begin() as slow:
        slow.save(added(a, history=[a_row(a, "began first")]))
        save(other, added(b, history=[a_row(b, "committed first")]))
        assert feed(other) == []
    rows = feed(other)
    assert [row.event for row in rows] == ["began first", "committed first"]
    assert [(row.tx, row.n) for row in rows] == sorted((row.tx, row.n) for row in rows)


def test_a_record_is_told_in_the_order_of_its_versions(servers: Callable[..., SqlStorage]) -> None:
    """Also if the transaction that wrote last began first, and had locked something before the other wrote."""
    one, other = servers(), servers()
    job, engine = a_job(), an_engine()
    save(one, added(job, engine, history=[a_row(job, "first")]))
    with one.begin() as long:
        long.load([ref_of(engine)], lock=True)
        second = next_version(job)
        save(other, changed((job, second), history=[a_row(second, "second")]))
        third = next_version(second)
        assert long.load([ref_of(job)]) == {ref_of(job): second}
        long.save(changed((second, third), history=[a_row(third, "third")]))
    assert [row.event for row in feed(other)] == ["first", "second", "third"]


# ----- a store that is away


def test_a_store_that_was_away_is_found_again() -> None:
    """After a crash of the database everything that was acknowledged is there, and the same handle serves on."""
    settings = dict.fromkeys(FAST, "on")
    with postgres(settings, own=True) as server, closing(create_storage(server.database())) as storage:
        save(storage, added(a_job("a")))
        server.stop("immediate")
        with pytest.raises(StorageUnavailableError, match="PostgreSQL"), storage.begin():
            pass
        server.start()
        assert eventually(storage) == a_job("a")
        save(storage, added(a_job("b")))


def eventually(storage: Storage) -> object:
    """The record, as soon as the store answers: after a failed attempt it is asked again within a second."""
    waited = threading.Event()
    for _ in range(100):
        try:
            return load(storage, a_job("a"))
        except StorageUnavailableError:
            waited.wait(0.05)
    raise AssertionError("the store stayed away")


def test_a_commit_that_is_cut_off_is_an_unknown_outcome(
    servers: Callable[..., SqlStorage], postgres_server: Postgres
) -> None:
    """It says so: whoever hears it may repeat with the same key."""
    storage = servers()

    def cut_off() -> None:
        with storage.begin() as transaction:
            transaction.save(added(a_job()))
            postgres_server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"
            )

    with pytest.raises(StorageUnavailableError, match="the outcome is unknown"):
        cut_off()
    save(storage, added(a_job("after")))


# ----- its tables


def test_servers_that_start_together_make_one_store(postgres_server: Postgres) -> None:
    """They meet at a lock: the tables are made once, and all have the same life."""
    url = postgres_server.database()
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: create_storage(url), range(4)))
    try:
        assert len({store.incarnation for store in stores}) == 1
    finally:
        for store in stores:
            store.close()
        postgres_server.drop(url)


def test_migrations_lead_to_the_tables_that_are_made_anew(postgres_server: Postgres) -> None:
    """An old store keeps what it holds, and differs in nothing from a new one."""
    from dispatch_core.storage.sql import migrating

    url = postgres_server.database()
    name = url.rpartition("/")[2]
    engine = create_engine(url)
    with engine.begin() as connection:
        migrating.upgrade_over(connection, "0001")
    postgres_server.execute("INSERT INTO meta VALUES ('incarnation', 'OLDLIFE00000')", database=name)
    postgres_server.execute("INSERT INTO meta VALUES ('tx_base', '0')", database=name)
    with pytest.raises(SchemaMismatchError, match="dispatch db migrate"):
        create_storage(url, migrate=False)
    create_storage(url).close()
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()
    postgres_server.drop(url)


@pytest.mark.parametrize(("oldest", "opens"), [(schema.HEAD, True), ("9999", False)])
def test_a_newer_neighbour_says_who_may_share_the_database(
    postgres_url: str, postgres_server: Postgres, oldest: str, opens: bool
) -> None:
    """During a rolling upgrade the older servers go on, unless the newer schema says that they may not."""
    name = postgres_url.rpartition("/")[2]
    create_storage(postgres_url).close()
    told = dict(postgres_server.execute("SELECT name, value FROM meta", database=name))
    postgres_server.execute("UPDATE alembic_version SET version_num = '9999'", database=name)
    postgres_server.execute(
        "UPDATE meta SET value = %s WHERE name = 'oldest_program'", [oldest], database=name
    )
    try:
        if opens:
            create_storage(postgres_url).close()
        else:
            with pytest.raises(SchemaMismatchError, match="9999 is the oldest that may use it"):
                create_storage(postgres_url)
    finally:
        postgres_server.execute("UPDATE alembic_version SET version_num = %s", [schema.HEAD], database=name)
        postgres_server.execute(
            "UPDATE meta SET value = %s WHERE name = 'oldest_program'",
            [told["oldest_program"]],
            database=name,
        )


def test_a_database_that_is_not_ours_is_refused(postgres_server: Postgres) -> None:
    """Neither an empty one that was not to be initialised nor one with somebody's tables is touched."""
    url = postgres_server.database()
    with pytest.raises(StorageUnavailableError, match="no tables of Dispatch"):
        create_storage(url, init=False)
    postgres_server.execute("CREATE TABLE jobs (mine int)", database=url.rpartition("/")[2])
    with pytest.raises(SchemaMismatchError, match="a database of its own"):
        create_storage(url)
    assert postgres_server.execute("SELECT count(*) FROM jobs", database=url.rpartition("/")[2]) == [(0,)]
    postgres_server.drop(url)


def test_a_copy_begins_a_life_of_its_own(postgres_server: Postgres) -> None:
    """Tokens of the original mean nothing in a restored copy; its history goes on where it stood."""
    url = postgres_server.database()
    with closing(create_storage(url)) as original:
        save(original, added(a_job(), history=[a_row(a_job(), "before")]))
        life = original.incarnation
    with closing(create_storage(url)) as again:
        assert again.incarnation == life
    copied = postgres_server.database(url.rpartition("/")[2])
    # As if the copy lay in a cluster that has seen fewer transactions.
    postgres_server.execute("UPDATE history SET tx = tx + 1000000", database=copied.rpartition("/")[2])
    with closing(create_storage(copied)) as copy:
        assert copy.incarnation != life
        assert load(copy, a_job()) == a_job()
        save(copy, ChangeSet(history=[a_row(a_job(), "after")]))
        assert [row.event for row in feed(copy)] == ["before", "after"]
    postgres_server.drop(url)
    postgres_server.drop(copied)


def test_text_sorts_as_it_does_everywhere(
    servers: Callable[..., SqlStorage], postgres_server: Postgres
) -> None:
    """Every text column has the collation of code points, whatever the database's own is."""
    storage = servers()
    names = ["a", "B", "é", "\U0001f39e", "a b", "-"]
    save(storage, added(*(a_job(name) for name in names)))
    with storage.read() as snapshot:
        page = snapshot.find(JOB, Query(sort="tenant"))
    assert [record.key for record in page.records] == sorted(names)
    name = storage._database.name.split()[1]
    odd = postgres_server.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'",
        database=name,
    )
    assert odd == []


# ----- what it costs


def test_a_batch_is_a_handful_of_statements(servers: Callable[..., SqlStorage]) -> None:
    """However many jobs are in it: rows go in as arrays."""
    storage = servers()
    seen: list[tuple[str, int]] = []
    storage.watch(lambda text, rows: seen.append((" ".join(text.split()[:3]), rows)))
    jobs = [a_ready_job(f"job-{n:02}", n) for n in range(50)]
    counters = {("default", "pending"): 50, ("default", "accepted"): 50}
    save(storage, added(*jobs, history=[a_row(job) for job in jobs], counters=counters))
    assert [each for each in seen if each[0] != "SELECT (extract(epoch FROM"] == [
        ("INSERT INTO meta", 1), ("INSERT INTO jobs", 50), ("INSERT INTO history", 50), ("INSERT INTO counters", 2),
    ]  # fmt: skip
    seen.clear()
    with storage.begin() as transaction:
        taken = transaction.take([job.id for job in jobs])
        grants = [next_version(job, ready=None, state=JobState.ASSIGNED) for job in taken.values()]
        attempts = [an_attempt(job.id) for job in grants]
        changes = [*(Change(ref_of(job), taken[job.id], job) for job in grants),
                   *(Change(ref_of(each), None, each) for each in attempts)]  # fmt: skip
        transaction.save(ChangeSet(changes=changes, history=[a_row(job) for job in grants]))
    assert [each for each in seen if each[0] != "SELECT (extract(epoch FROM"] == [
        ("SELECT jobs.id, jobs.version,", 1), ("INSERT INTO meta", 1), ("INSERT INTO attempts", 50),
        ("UPDATE jobs SET", 50), ("INSERT INTO history", 50),
    ]  # fmt: skip


def test_no_read_scans_a_table(servers: Callable[..., SqlStorage], postgres_server: Postgres) -> None:
    """Each is planned over an index, whatever the planner knows of the tables (here: that they are empty)."""
    storage = servers()
    texts: set[str] = set()
    storage.watch(lambda text, rows: texts.add(text))
    save(storage, added(a_ready_job("a"), an_engine(), a_pulse(), an_attempt("a")))
    with storage.begin() as transaction:
        transaction.load([(JOB, "a"), (RecordType.ATTEMPT, "a/1"), (RecordType.POOL, "p")], lock=True)
        transaction.open_attempts(["e"])
        transaction.heads(transaction.buckets(), 8)
        transaction.take(["a"])
        transaction.settled(JobState.COMPLETED, 5, 10, deleted=False)
        for kind in (JOB, RecordType.RECEIPT, RecordType.WINDOW):
            transaction.due(kind, 5, 10)
        transaction.find(JOB, Query(sort="created_us", where={"tenant": ("t",), "state": ("pending",)}))
        transaction.find(JOB, Query(sort="created_us", where={"tenant": ("t",), "campaign": ("c",)}))
        transaction.find(JOB, Query(sort="created_us", where={"tenant": ("t",)}, prefix="job-1"))
        transaction.history(limit=5)
        transaction.history(of=(JOB, "a"), limit=5)
        list(transaction.tally(Tally.URGENCY))
    url = storage._database._pool.link  # type: ignore[attr-defined]  # the settings its sessions have
    with psycopg.connect(**url, autocommit=True) as connection:
        for text in texts:
            numbers = itertools.count(1)
            asked = re.sub("%[sb]", lambda _: f"${next(numbers)}", text)  # noqa: B023  # called here
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN (GENERIC_PLAN) {asked}".encode()))
            assert "Seq Scan on jobs" not in plan, f"{text}\n{plan}"
            assert "Seq Scan on attempts" not in plan, f"{text}\n{plan}"
            assert "Seq Scan on history" not in plan, f"{text}\n{plan}"


def test_a_url_may_name_several_hosts(postgres_url: str) -> None:
    """The first that answers as it should is used: after a fail-over, the one that has become the primary."""
    _, _, place = postgres_url.rpartition("@")
    address, _, name = place.partition("/")
    url = f"postgresql+psycopg://postgres@127.0.0.1:1,{address}/{name}?target_session_attrs=read-write"
    with closing(create_storage(url)) as storage:
        save(storage, added(a_job()))
        assert load(storage, a_job()) == a_job()


def test_many_threads_share_a_few_connections(postgres_url: str, postgres_server: Postgres) -> None:
    """More callers than connections wait for their turn; afterwards none is left in a transaction."""
    with closing(SqlStorage(PostgresqlDatabase(postgres_url, connections_max=3))) as storage:
        save(storage, added(a_job()))

        def look(_: int) -> bool:
            with storage.read() as snapshot:
                return len(snapshot.load([ref_of(a_job())])) == 1

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(look, range(200)))
        states = postgres_server.execute(
            "SELECT state FROM pg_stat_activity WHERE datname = %s", [postgres_url.rpartition("/")[2]]
        )
        assert 1 <= len(states) <= 3
        assert {state for (state,) in states} == {"idle"}


def test_a_commit_that_no_standby_has_confirmed_is_not_acknowledged() -> None:
    """When its wait is ended, PostgreSQL only warns; whoever waits hears that the outcome is unknown."""
    waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    with postgres({**FAST, "synchronous_commit": "on"}, own=True) as server:
        url = server.database()
        with closing(create_storage(url)) as storage, ThreadPoolExecutor(1) as pool:
            save(storage, added(a_job("a")))
            server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            server.execute("SELECT pg_reload_conf()")
            committing = pool.submit(save, storage, added(a_job("b")))
            while not server.execute(waiting):
                if committing.done() and committing.exception() is None:  # the reload was too late for it
                    committing = pool.submit(save, storage, added(a_job(secrets.token_hex(4))))
            with pytest.raises(StorageUnavailableError, match="the outcome is unknown"):
                committing.result(20)
