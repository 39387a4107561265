"""Every store of ours passes the suite that is shipped for the stores of others."""

from pathlib import Path

import pytest

from dispatch_core.ports.storage import Storage
from dispatch_core.storage import MemoryStorage, create_storage
from dispatch_core.storage.sql import SqliteMemory, SqlStorage
from dispatch_core.storage.sql.forms import forms_by_type, shared_form
from dispatch_core.testing.storage_suite import StorageSuite
from dispatch_core.vocabulary.clock import Clock
from dispatch_core.vocabulary.records import RecordType


@pytest.mark.checklist(8)
class TestMemory(StorageSuite):
    def open_storage(self, clock: Clock) -> MemoryStorage:
        return MemoryStorage(clock)


@pytest.mark.checklist(8)
class TestSqliteFile(StorageSuite):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "jobs with ? and # in the name.db"

    def open_storage(self, clock: Clock) -> SqlStorage:
        storage = create_storage(self.path, clock=clock)
        assert isinstance(storage, SqlStorage)
        return storage


class TestSqliteMemory(StorageSuite):
    def open_storage(self, clock: Clock) -> SqlStorage:
        return SqlStorage(SqliteMemory(), clock=clock)


class TestTypesWithoutATable(StorageSuite):
    """A new type of record costs the store nothing: here three old ones do without their tables."""

    def open_storage(self, clock: Clock) -> SqlStorage:
        new = [shared_form(each) for each in (RecordType.ENGINE, RecordType.PULSE, RecordType.RECEIPT)]
        return SqlStorage(SqliteMemory(), clock=clock, forms=forms_by_type(new))


class TestWithoutCache(StorageSuite):
    def open_storage(self, clock: Clock) -> SqlStorage:
        return SqlStorage(SqliteMemory(), clock=clock, records_cached=0)


class TestTinyCache(StorageSuite):
    def open_storage(self, clock: Clock) -> SqlStorage:
        return SqlStorage(SqliteMemory(), clock=clock, records_cached=1)


@pytest.mark.checklist(8)
class TestPostgresql(StorageSuite):
    @pytest.fixture(autouse=True)
    def _place(self, postgres_url: str) -> None:
        self.url = postgres_url

    def open_storage(self, clock: Clock) -> SqlStorage:
        storage = create_storage(self.url, clock=clock)
        assert isinstance(storage, SqlStorage)
        return storage

    def other_server(self, storage: Storage, clock: Clock) -> SqlStorage:
        return self.open_storage(clock)
