"""Real servers, engines and clients under kills and freezes: what everybody was told can be true, and every job ends once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.arena import Scale, arena, judge, mishaps
from tests.support.postgres import Postgres, postgres

SLICE = Scale(jobs=100, spread_s=2.5, lease_s=1.0, frozen_s=1.5, down_s=0.5)
WHOLE = Scale(jobs=600, spread_s=24.0, lease_s=5.0, frozen_s=15.0, down_s=2.0)
SEED = int(os.environ.get("DISPATCH_CHAOS_SEED", "1"))
RUNS = int(os.environ.get("DISPATCH_CHAOS_RUNS", "20"))


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """A PostgreSQL that may be crashed, and writes as one in production does."""
    with postgres({}, own=True) as server:
        yield server


def test_two_servers_on_one_postgresql(tmp_path: Path, database: Postgres) -> None:
    """One server is killed or frozen and PostgreSQL crashes: nothing false was told, and every life ended once."""
    _play(tmp_path, SEED, SLICE, 2, database.database(), lambda: database.restart("immediate"))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_two_servers_on_one_postgresql_for_long(tmp_path: Path, database: Postgres, seed: int) -> None:
    """The same for longer than leases last, with other mishaps each time."""
    _play(tmp_path, seed, WHOLE, 2, database.database(), lambda: database.restart("immediate"))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_one_server_on_a_file(tmp_path: Path, seed: int) -> None:
    """A server on SQLite is killed."""
    _play(tmp_path, seed, SLICE, 1, str(tmp_path / "jobs.db"), None)


def _play(
    folder: Path, seed: int, scale: Scale, servers: int, url: str, crash: Callable[[], None] | None
) -> None:
    begun = time.monotonic()
    plan = mishaps(seed, scale, servers, database=crash is not None)
    print(f"\nseed {seed}:", ", ".join(map(str, plan)), flush=True)
    with arena(seed, scale, folder, url, servers=servers, crash=crash) as stage:
        stage.run()
        assert [server.stop() for server in stage.servers] == [0] * servers
        found = judge(url, stage.logs())
    print(f"{found} ({time.monotonic() - begun:.1f} s)")
    assert found.acknowledged >= scale.jobs - scale.clients
