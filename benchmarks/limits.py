"""The physical limits: what SQLite does with three row writes a lifecycle and no logic, bare and through SQLAlchemy Core."""

from __future__ import annotations

import itertools
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

BODY = "x" * 400
SCHEMA = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "CREATE TABLE jobs (id TEXT PRIMARY KEY, state TEXT NOT NULL, key INTEGER NOT NULL, body TEXT NOT NULL)",
    "CREATE INDEX ready ON jobs (key) WHERE state = 'pending'",
)


def _path(folder: Path) -> Path:
    return folder / f"limit-{time.monotonic_ns()}.db"


def _batches(size: int) -> Iterator[list[tuple[str, str, int, str]]]:
    numbers = itertools.count()
    while True:
        yield [(secrets.token_hex(8), "pending", number, BODY) for number in itertools.islice(numbers, size)]


def raw_lifecycles(folder: Path, batch: int, seconds: float) -> float:
    """Lifecycles per second of bare ``sqlite3`` (WAL, FULL): insert, take by key, end; each is one transaction a batch."""
    database = sqlite3.connect(_path(folder), isolation_level=None)
    for statement in SCHEMA:
        database.execute(statement)

    def write(text: str, rows: Sequence[Sequence[object]]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany(text, rows)
        database.execute("COMMIT")

    done, spent, started = 0, 0.0, time.perf_counter()
    for rows in _batches(batch):
        write("INSERT INTO jobs VALUES (?, ?, ?, ?)", rows)
        found = database.execute("SELECT id FROM jobs WHERE state = 'pending' ORDER BY key LIMIT ?", (batch,))
        taken = found.fetchall()
        write("UPDATE jobs SET state = 'assigned' WHERE id = ?", taken)
        write("UPDATE jobs SET state = 'completed' WHERE id = ?", taken)
        done += len(taken)
        if (spent := time.perf_counter() - started) >= seconds:
            break
    database.close()
    return done / spent


def sqlalchemy_lifecycles(folder: Path, batch: int, seconds: float) -> float:
    """The same through SQLAlchemy Core."""
    engine = sa.create_engine(f"sqlite:///{_path(folder)}")
    jobs = sa.table("jobs", *(sa.column(name) for name in ("id", "state", "key", "body")))
    insert = jobs.insert()
    heads = sa.select(jobs.c.id).where(jobs.c.state == "pending").order_by(jobs.c.key).limit(batch)
    update = jobs.update().where(jobs.c.id == sa.bindparam("job")).values(state=sa.bindparam("into"))
    with engine.connect() as connection:
        for statement in SCHEMA:
            connection.exec_driver_sql(statement)
        connection.commit()
        done, spent, started = 0, 0.0, time.perf_counter()
        for rows in _batches(batch):
            connection.execute(
                insert, [dict(zip(("id", "state", "key", "body"), row, strict=True)) for row in rows]
            )
            connection.commit()
            taken = connection.execute(heads).scalars().all()
            connection.execute(update, [{"job": job, "into": "assigned"} for job in taken])
            connection.commit()
            connection.execute(update, [{"job": job, "into": "completed"} for job in taken])
            connection.commit()
            done += len(taken)
            if (spent := time.perf_counter() - started) >= seconds:
                break
    engine.dispose()
    return done / spent
