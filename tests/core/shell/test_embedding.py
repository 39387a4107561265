"""In somebody's process: dispatchers share nothing, and the same seed and clock give the same decisions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dispatch_core import Dispatcher, ManualClock, SeededIds, Settings
from dispatch_core.storage import create_storage
from tests.core.house import claimed, spec, start

SCENARIO = Path(__file__).with_name("scenario.py")


@pytest.mark.checklist(11)
def test_two_dispatchers_in_one_process_share_nothing() -> None:
    """Other stores, settings, ids, engines of the same name: neither notices the other."""
    stores = [create_storage("memory:", clock=ManualClock()) for _ in range(2)]
    one, two = (
        Dispatcher(store, ids=SeededIds(n), settings=Settings(lease_ttl_s=10 + n))
        for n, store in enumerate(stores)
    )
    start(one, facts={"codec": ("h264",)})
    start(two, facts={"codec": ("vp9",)})
    jobs = [one.submit(spec()), two.submit(spec())]
    assert jobs[0].id != jobs[1].id
    assert claimed(two) == []
    assert claimed(one) == [jobs[0].id]
    assert (one.stats().jobs["assigned"], two.stats().jobs["assigned"]) == (1, 0)
    assert one.explain(jobs[0].id).verdict == "running"
    assert two.explain(jobs[1].id).verdict == "never"
    one.close()
    assert two.submit(spec()).version == 1
    two.close()


@pytest.mark.parametrize("grouped", ["", "grouped"], ids=["direct", "group"])
def test_the_same_seed_and_clock_decide_the_same(grouped: str) -> None:
    """Byte for byte, in other processes, whatever the hash seed: history, answers and explanations."""
    digests = set()
    for seed in ("0", "1", "4242"):
        run = subprocess.run(
            [sys.executable, str(SCENARIO), grouped],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        )
        digests.add(run.stdout)
    assert len(digests) == 1
    assert len(digests.pop()) > 64
