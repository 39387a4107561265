"""HTTP on SQLite FULL: lifecycles per second by single calls and by batches, wake-ups, and what a large fleet costs."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.http.serving import Served, dispatch, nothing
from benchmarks.suite import Figure, Outcome, Rounds, Scale, compared, in_turns, ratio, tell
from tests.support.postgres import postgres

THREADS = 64
CONNECTIONS, BATCH_CONNECTIONS, ENGINES = 32, 4, 4
NOOP = "no-op Falcon, waitress"
SERVERS = ("waitress", "granian")
NOTES = (
    "The load is a process of its own on the same cores: raw sockets, kept alive, bytes made beforehand.",
    f"{CONNECTIONS} connections for single calls and the no-op, {BATCH_CONNECTIONS} for batches of 100.",
    f"They speak for {ENGINES} engines that are alike: to place a job costs more the more engines differ.",
    "No key, so no key is checked; every request is logged. The no-op has 64 threads, too, and logs nothing.",
    "The engines of the large fleet are simulated by 16 connections; a job that was granted stays and is renewed.",
)


def _rates(folder: Path, scale: Scale, cpu: dict[str, list[float]]) -> dict[str, list[float]]:
    """Rates by what was measured; the CPU milliseconds that one of them cost the server go to ``cpu``."""

    def noop() -> float:
        with nothing("waitress", THREADS) as served:
            return rate(NOOP, served, "noop", connections=CONNECTIONS)

    def lifecycles(name: str, server: str, load: str, connections: int) -> float:
        with dispatch(folder, server, threads=THREADS) as served:
            return rate(name, served, load, connections=connections, engines=ENGINES)

    def rate(name: str, served: Served, load: str, **options: int) -> float:
        found = served.load(load, seconds=scale.seconds, pid=served.process.pid, **options)
        cpu.setdefault(name, []).append(found["CPU ms"])
        return found["rate"]

    loads = (("single", CONNECTIONS), ("batch", BATCH_CONNECTIONS))
    names = {f"{server}, {load}": (server, load, many) for server in SERVERS for load, many in loads}
    ours = {name: partial(lifecycles, name, *each) for name, each in names.items()}
    return in_turns(scale.rounds, {NOOP: noop, **ours})


def _woken(folder: Path, scale: Scale) -> dict[str, float]:
    with dispatch(folder, "waitress", threads=THREADS) as served:
        return served.load("waking", samples=60 if scale.quick else 1_000)


def _woken_elsewhere(folder: Path, scale: Scale) -> dict[str, float]:
    """The engine waits at one server, the job comes in at another of the same PostgreSQL (fsync on)."""
    with postgres({}, own=True) as database:
        url = database.database()
        with (
            dispatch(folder, "waitress", database=url, threads=THREADS) as one,
            dispatch(folder, "waitress", database=url, threads=THREADS) as other,
        ):
            return one.load("waking", samples=60 if scale.quick else 1_000, submit_port=other.port)


def _fleet(folder: Path, scale: Scale) -> dict[str, float]:
    tell("a large fleet registers, which may take minutes")
    # On a busy machine that takes longer than engines may be silent, and their return is not what is measured.
    patient: dict[str, Any] = {"silent_after_s": 600.0, "lost_after_s": 1_200.0}
    with dispatch(folder, "waitress", threads=THREADS, **patient) as served:
        return served.load(
            "fleet",
            engines=500 if scale.quick else 10_000,
            seconds=3.0 if scale.quick else 30.0,
            pid=served.process.pid,
        )


def run(scale: Scale) -> Outcome:
    """Rates in turns; then wake-ups and the fleet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cpu: dict[str, list[float]] = {}
        rounds = _rates(folder, scale, cpu)
        woken, elsewhere = _woken(folder, scale), _woken_elsewhere(folder, scale)
        fleet = _fleet(folder, scale)
    rows = [
        _row(f"{name}, {'requests' if name == NOOP else 'lifecycles'}/s", rounds[name]) for name in rounds
    ]
    rows += [_row(f"{name}, CPU ms of the server for one of them", values) for name, values in cpu.items()]
    rows += [_row(f"woken, {name}", [value]) for name, value in woken.items()]
    rows += [_row(f"woken across two servers, {name}", [value]) for name, value in elsewhere.items()]
    rows += [_row(f"fleet, {name}", [value]) for name, value in fleet.items()]
    return Outcome(rows=rows, figures=_figures(rounds, woken, elsewhere, fleet), notes=NOTES)


def _figures(
    rounds: Rounds, woken: Mapping[str, float], elsewhere: Mapping[str, float], fleet: Mapping[str, float]
) -> dict[str, Figure]:
    single = statistics.median(rounds["waitress, single"])
    beside = f"{single:,.0f} × 3 ÷ {statistics.median(rounds[NOOP]):,.0f} requests/s"
    served = f"{fleet['requests/s']:,.0f} requests/s, {fleet['share served in time']:.0%} of what was due"
    return {
        "P9 single": Figure(3 * ratio(rounds, "waitress, single", NOOP), beside),
        "P9 batch": compared(rounds, "waitress, batch", "waitress, single"),
        "P9 granian": compared(rounds, "granian, single", "waitress, single"),
        "P10 p50": Figure(woken["p50 ms"]),
        "P10 p99": Figure(woken["p99 ms"]),
        "P10 two p50": Figure(elsewhere["p50 ms"]),
        "P10 two p99": Figure(elsewhere["p99 ms"]),
        # A server that came behind is reckoned with what all that was due would have cost.
        "P11": Figure(fleet["cores"] / fleet["share served in time"], served),
    }


def _row(name: str, values: Sequence[float]) -> dict[str, object]:
    median = statistics.median(values)
    return {"what": name, "median": median, "least": min(values), "most": max(values), "rounds": len(values)}
