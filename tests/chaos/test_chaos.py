"""Real servers, engines and clients under kills and freezes: what everybody was told can be true, and every job ends once."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.chaos.arena import Scale, arena, judge, mishaps

SLICE = Scale(jobs=100, spread_s=3.0, lease_s=1.0, frozen_s=1.5, down_s=0.5)
WHOLE = Scale(jobs=600, spread_s=24.0, lease_s=5.0, frozen_s=15.0, down_s=2.0)
SEED = int(os.environ.get("DISPATCH_CHAOS_SEED", "1"))
RUNS = int(os.environ.get("DISPATCH_CHAOS_RUNS", "20"))


def test_one_server_on_a_file_is_killed(tmp_path: Path) -> None:
    """Six engines and three clients meet a server that is killed: nothing false was told, every life ended once."""
    _play(tmp_path, SEED, SLICE)


def _play(folder: Path, seed: int, scale: Scale) -> None:
    begun = time.monotonic()
    database = str(folder / "jobs.db")
    print(f"\nseed {seed}:", ", ".join(map(str, mishaps(seed, scale, 1, database=False))), flush=True)
    with arena(seed, scale, folder, database, servers=1, crash=None) as stage:
        stage.run()
        assert [server.stop() for server in stage.servers] == [0]
        found = judge(database, stage.logs())
    print(f"{found} ({time.monotonic() - begun:.1f} s)")
    assert found.acknowledged >= scale.jobs - scale.clients
