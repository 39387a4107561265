"""The fleet machine on every store: any order of commands, faults, restarts and time keeps every law."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import Phase, settings

from dispatch_core.ports.storage import Storage
from dispatch_core.storage import create_storage
from dispatch_core.testing.machine import FleetMachine
from dispatch_core.vocabulary.clock import Clock
from tests.support.postgres import Databases

EXAMPLES = int(os.environ.get("DISPATCH_TEST_FLEET_EXAMPLES", "40"))
PHASES = [phase for phase in Phase if phase is not Phase.explain]
if "DISPATCH_TEST_NO_SHRINK" in os.environ:  # while looking for bugs: see them all at once, unshrunk
    PHASES = [Phase.generate]


class MemoryFleet(FleetMachine):
    """Two servers that share a store in memory."""


class SqliteFleet(FleetMachine):
    """One server on a file; a restart opens the file anew."""

    def open_storage(self, clock: Clock) -> Storage:
        self.folder = Path(tempfile.mkdtemp(prefix="dispatch-fleet-"))
        return create_storage(str(self.folder / "jobs.db"), clock=clock)

    def reopen_storage(self, storage: Storage) -> Storage:
        storage.close()
        return create_storage(str(self.folder / "jobs.db"), clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


class PostgresqlFleet(FleetMachine):
    """Two servers on one PostgreSQL; a restart opens another handle."""

    databases: ClassVar[Databases]

    def open_storage(self, clock: Clock) -> Storage:
        self.url = self.databases.lend()
        return create_storage(self.url, clock=clock)

    def reopen_storage(self, storage: Storage) -> Storage:
        storage.close()
        return create_storage(self.url, clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        self.databases.take_back(self.url)


@pytest.fixture(autouse=True)
def _databases(request: pytest.FixtureRequest) -> None:
    """A test case of unittest takes no arguments: the machine finds its databases in its class."""
    if request.cls is TestPostgresqlFleet:
        PostgresqlFleet.databases = request.getfixturevalue("postgres_databases")


TestMemoryFleet = MemoryFleet.TestCase
TestMemoryFleet.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=40, deadline=None, phases=PHASES
)
TestSqliteFleet = SqliteFleet.TestCase
TestSqliteFleet.settings = settings(
    max_examples=max(EXAMPLES // 3, 5), stateful_step_count=30, deadline=None, phases=PHASES
)
TestPostgresqlFleet = PostgresqlFleet.TestCase
TestPostgresqlFleet.settings = settings(
    max_examples=max(EXAMPLES // 8, 3), stateful_step_count=30, deadline=None, phases=PHASES
)
