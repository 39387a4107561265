"""Verify finds what is wrong with a store, or nothing is wrong with what it says."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from dispatch_core import (
    Context,
    Dispatcher,
    PoolSpec,
    Scope,
    StorageDamagedError,
    StorageError,
    StorageUnavailableError,
)
from dispatch_core.storage import StoreInfo, create_storage, store_info, verify_store
from dispatch_core.storage.sql import schema
from tests.core.storage.filled import Rows, filled, rows_in

FLIPS = 60
ALIVE = ("version", "deadline_us", "progress_at_us", "progress", "run_until_us")
"""The columns of an attempt that say when its engine was last heard, and when it must end: they have no history and no checksum."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that was closed: all of it is in its one file."""
    filled(tmp_path / "jobs.db")
    return tmp_path / "jobs.db"


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(statement).rowcount > 0
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_a_sound_store_passes(path: Path) -> None:
    """And the verdict says how much of everything was looked at."""
    verdict = verify_store(path)
    assert (verdict.ok, verdict.read, verdict.findings) == (True, True, ())
    assert {name: verdict.counts[name] for name in ("jobs", "attempts", "engines", "receipts")} == {
        "jobs": 13, "attempts": 6, "engines": 1, "receipts": 1,
    }  # fmt: skip


def test_a_store_in_use_is_verified_beside_its_server(path: Path) -> None:
    """Nothing has to stop, and progress is told to the end."""
    told: list[tuple[str, int, int]] = []
    with closing(create_storage(path)):
        assert verify_store(path, tell=lambda *step: told.append(step)).ok
    rows = [step for step in told if step[0] == "rows"]
    assert rows[-1][1] == rows[-1][2] > 0


CHANGES = [
    ("UPDATE jobs SET spec = replace(spec, 'in.mp4', 'un.mp4')", "history folds to"),
    ("UPDATE jobs SET state = 'completed' WHERE state = 'cancelled'", "history folds to"),
    ("UPDATE jobs SET priority = priority + 1", "its priority is"),
    ("UPDATE jobs SET data = '{' WHERE state = 'assigned'", "cannot be read"),
    ("UPDATE jobs SET due_us = 5 WHERE state = 'completed'", "its due_us is"),
    ("DELETE FROM jobs WHERE state = 'completed'", "no record"),
    ("UPDATE attempts SET outcome = 'failed' WHERE outcome = 'completed'", "folds to the attempts"),
    ("DELETE FROM attempts WHERE outcome = 'completed'", "attempt numbers"),
    ("UPDATE history SET actor = 'somebody else' WHERE event = 'job-cancelled'", "not the row that was written"),
    ("UPDATE history SET data = replace(data, 'not wanted', 'was wanted')", "not the row that was written"),
    ("DELETE FROM history WHERE event = 'job-granted'", "versions"),
    ("UPDATE engines SET data = replace(data, '\"slots\":6', '\"slots\":7')", "crc"),
    ("UPDATE receipts SET data = replace(data, 'h264', 'hevc'), fields = '{\"crc\":1}'", "its fields is"),
    ("UPDATE pulses SET due_us = due_us + 1", "its due_us is"),
    ("UPDATE counters SET value = value - 1 WHERE name = 'pending'", "counters say"),
    ("UPDATE meta SET value = '0123456789ab' WHERE name = 'incarnation'", "incarnation"),
    ("DELETE FROM meta", "incarnation is lost"),
    ("UPDATE alembic_version SET version_num = '0009'", "schema 0009"),
    ("DELETE FROM alembic_version", "revision is lost"),
]  # fmt: skip


@pytest.mark.checklist(34)
@pytest.mark.parametrize(("statement", "finding"), CHANGES, ids=[each[0][:40] for each in CHANGES])
def test_a_changed_row_is_found(path: Path, statement: str, finding: str) -> None:
    """SQLite's own check says nothing of any of these: the cells are sound, what they say is not true."""
    change(path, statement)
    verdict = verify_store(path)
    assert not verdict.ok
    assert finding in "\n".join(verdict.findings)


def test_a_missing_index_is_found(path: Path) -> None:
    """Tables and indexes are those that this version makes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX ready")
    assert verify_store(path).findings == (f"schema: ready is not as version {schema.HEAD} makes it",)


def test_many_findings_are_counted_and_some_are_kept(path: Path) -> None:
    """A store that is wrong everywhere does not fill the memory of whoever checks it."""
    filled(path, 150)
    change(path, "UPDATE jobs SET priority = 99")
    verdict = verify_store(path)
    assert (len(verdict.findings), verdict.findings_total) == (100, verdict.counts["jobs"] + 1)


# ----- damage to the file


def zero_length(content: bytearray) -> None:
    content.clear()


def truncated(content: bytearray) -> None:
    del content[len(content) // 2 :]


def header(content: bytearray) -> None:
    content[16:32] = b"\xff" * 16


def magic(content: bytearray) -> None:
    content[:4] = b"JSON"


def zeroed_page(content: bytearray) -> None:
    page = len(content) // 4096 // 2
    content[page * 4096 : (page + 1) * 4096] = bytes(4096)


@pytest.mark.checklist(34)
@pytest.mark.parametrize("harm", [zero_length, truncated, header, magic, zeroed_page])
def test_a_damaged_file_is_found(path: Path, harm: Callable[[bytearray], None]) -> None:
    """Whatever is left of it: a verdict, not a crash."""
    content = bytearray(path.read_bytes())
    harm(content)
    path.write_bytes(content)
    assert not verify_store(path).ok


def truth(path: Path) -> Rows | None:
    """What a store says, signs of life apart; None if it does not say anything."""
    try:
        rows = rows_in(path)
        names = [row[1].decode() for row in _columns(path)]
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    hidden = {names.index(name) for name in ALIVE}
    attempts = [[cell for n, cell in enumerate(row) if n not in hidden] for row in rows["attempts"]]
    return {**rows, "attempts": [tuple(row) for row in attempts]}


def _columns(path: Path) -> list[tuple[int, bytes]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        return connection.execute("PRAGMA table_info(attempts)").fetchall()


def test_an_attempt_written_less_often_than_its_history_says_is_found(path: Path) -> None:
    """Its count of writes has no checksum, but no less than its own history."""
    assert verify_store(path).ok
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE attempts SET version = 0")
    verdict = verify_store(path)
    assert any("its history alone tells of" in finding for finding in verdict.findings)


@pytest.mark.checklist(34)
def test_a_flipped_bit_is_found_or_changes_nothing(path: Path) -> None:
    """Bits all over the file: either the check fails, or every row still says what it said."""
    filled(path, 30)
    content, before = path.read_bytes(), truth(path)
    dice, found = random.Random(5), 0
    step = len(content) // FLIPS
    for start in range(0, len(content), step):
        place, bit = start + dice.randrange(step), dice.randrange(8)
        if place >= len(content):
            continue
        harmed = bytearray(content)
        harmed[place] ^= 1 << bit
        path.write_bytes(harmed)
        try:
            ok = verify_store(path).ok
        except StorageUnavailableError:
            ok = False
        with suppress(StorageError):  # a start is refused, or goes well; it is not an accident
            create_storage(path).close()
        if ok:
            assert truth(path) == before, f"bit {bit} of byte {place} was not found"
        found += not ok
    assert found > FLIPS // 4


def test_info_tells_what_a_file_says_of_itself(path: Path) -> None:
    """Its schema, its life, how many jobs, and who has it."""
    with closing(create_storage(path)) as storage:
        info = store_info(path)
        assert isinstance(info, StoreInfo)
        assert (info.revision, info.newest_revision, info.incarnation) == (
            schema.HEAD,
            schema.HEAD,
            storage.incarnation,
        )
        assert (info.in_use_by or "").startswith("process ")
        assert sum(info.jobs.values()) == 13
    again = store_info(path)
    assert isinstance(again, StoreInfo)
    assert again.in_use_by is None
    path.write_bytes(b"")
    with pytest.raises(StorageDamagedError):
        store_info(path)


def storied(path: Path) -> None:
    """Records whose history does not tell all of them: keys, a pool that was made twice, windows, denied attempts."""
    with closing(create_storage(path)) as storage, Dispatcher(storage) as dispatcher:
        for _ in range(2):
            dispatcher.pools.create("nas", PoolSpec(capacity_bytes=5))
            dispatcher.pools.edit("nas", {"capacity_bytes": 9})
            dispatcher.pools.delete("nas")
        dispatcher.pools.create("nas", PoolSpec(capacity_bytes=5))
        dispatcher.pools.edit("nas", {"capacity_bytes": 7})
        key, _ = dispatcher.create_key("ci", [Scope.SUBMITTER])
        dispatcher.rotate_key(key.id)
        until_us = time.time_ns() // 1_000 + 3_600_000_000
        dispatcher.windows.end(dispatcher.windows.plan(None, from_us=0, until_us=until_us).id)
        dispatcher.windows.plan(None, from_us=0, until_us=until_us)
        for reason in ("unauthorized", "rate-limited"):
            dispatcher.denials.note(Context(actor="-"), "GET /jobs", reason)
        dispatcher.tick()


def test_an_id_may_live_twice(tmp_path: Path) -> None:
    """A pool that is made again under the id of one that was deleted begins at version one; that is no damage."""
    storied(tmp_path / "jobs.db")
    assert verify_store(tmp_path / "jobs.db").findings == ()


@pytest.mark.parametrize(
    "lost",
    [
        "event = 'key-rotated'",
        "event = 'key-created'",
        "event = 'window-ended'",
        "type = 'window'",
        "event = 'access-denied' AND version = 2",
        "event = 'pool-deleted'",
        "event = 'pool-edited' AND data LIKE '%7%'",
    ],
)
def test_a_lost_end_of_a_history_is_found(tmp_path: Path, lost: str) -> None:
    """The last row of a history is missed like any other: a record stands at its last version, or its end is told."""
    path = tmp_path / "jobs.db"
    storied(path)
    change(path, f"DELETE FROM history WHERE {lost}")  # our own words
    assert verify_store(path).findings, lost
