"""A URL or a path says which store."""

import subprocess
import sys
from pathlib import Path

import pytest

from dispatch_core.storage import MemoryStorage, create_storage
from dispatch_core.storage.opening import sqlite_path
from dispatch_core.vocabulary.errors import InvalidCommandError, StorageUnavailableError


@pytest.mark.parametrize("name", ["memory:", "memory://"])
def test_memory(name: str) -> None:
    assert isinstance(create_storage(name), MemoryStorage)


def test_sqlite_in_memory() -> None:
    storage = create_storage("sqlite://")
    assert (storage.traits.name, storage.traits.durable, storage.traits.shared) == ("sqlite", False, False)
    storage.close()


@pytest.mark.parametrize(("name", "path"), [
    ("jobs.db", "jobs.db"), ("sqlite:///jobs.db", "jobs.db"), ("sqlite:////srv/jobs.db", "/srv/jobs.db"),
    ("sqlite:///:memory:", None), ("a%20b?c.db", "a%20b?c.db"),
])  # fmt: skip
def test_files(name: str, path: str | None) -> None:
    assert sqlite_path(name) == (None if path is None else Path(path))


@pytest.mark.parametrize("name", ["mysql://h/db", "sqlite://jobs.db"])
def test_other_stores_are_refused_with_what_to_use(name: str) -> None:
    with pytest.raises(InvalidCommandError, match="sqlite:///FILE"):
        create_storage(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("postgresql+asyncpg://h/db", "use postgresql.psycopg://"),
        ("postgresql://h/db?colour=red", "colour"),
        ("postgresql://h:port/db", "port"),
    ],
)
def test_a_postgresql_that_cannot_be_meant_is_refused_by_its_field(name: str, said: str) -> None:
    """Whatever is wrong with the URL, the answer says that it is the database's, and what."""
    with pytest.raises(InvalidCommandError, match=said) as caught:
        create_storage(name)
    assert [problem.path for problem in caught.value.problems] == ["/database"]


def test_a_postgresql_nobody_answers_for_is_unavailable_and_its_password_is_not_told() -> None:
    """The message names the place and what to look at; it never holds the secret."""
    with pytest.raises(StorageUnavailableError, match=r"farm at 127\.0\.0\.1:1") as caught:
        create_storage("postgresql+psycopg://me:hunter2@127.0.0.1:1/farm")
    assert "hunter2" not in str(caught.value)


def test_the_room_is_entered_without_sqlalchemy() -> None:
    program = (
        "import sys, dispatch_core.storage; print('sqlalchemy' in sys.modules, 'sqlite3' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "False False\n"
