"""The scenario families: each draws a fleet, and the jobs of one title after the other.

``DEVELOPMENT`` are the families a policy may be tuned on, as the goals name them. ``HOLD_OUT`` stand beside
them so that a policy tuned too closely shows it; tune on none of those.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from random import Random

from attrs import frozen

from benchmarks.scheduling import aws
from benchmarks.scheduling.arrivals import zipf
from dispatch_core.simulation import EngineType, FleetPlan

Title = Sequence[tuple[str, float]]
"""The jobs that arrive at once: the task class and the true units of each."""


@frozen
class Shape:
    """What a family has drawn: a fleet, and a way to draw one title after the other."""

    fleet: FleetPlan
    title: Callable[[Random], Title]


def best_speeds(fleet: FleetPlan) -> dict[str, float]:
    """The units per second of the fastest engine, by task class."""
    best: dict[str, float] = {}
    for engine in fleet.types:
        for name, speed in engine.speeds.items():
            best[name] = max(best.get(name, 0.0), speed)
    return best


def _fleet(rows: Mapping[str, tuple[int, int, Mapping[str, float]]]) -> FleetPlan:
    return FleetPlan(
        types=tuple(
            EngineType(name=name, count=count, slots=slots, speeds=dict(speeds))
            for name, (count, slots, speeds) in rows.items()
        )
    )


# ------------------------------------------------------------------------------------------------ video

CODECS, CODEC_SHARES = ("h264", "hevc", "vp9", "av1"), (40, 30, 15, 15)
PIXELS = {"480p": 0.23, "720p": 0.44, "1080p": 1.0, "2160p": 4.0}
LARGE_SHARE = 0.12
BEST_MAX_S = 1_200.0

# Count, slots, whether it can stream large sources, and 1080p seconds encoded per second by codec: hosts of
# accelerators fall back to their few cores where the chip knows no encoder.
VIDEO_ENGINES: Mapping[str, tuple[int, int, bool, tuple[float, ...]]] = {
    "cpu-small": (7, 1, False, (2.5, 0.9, 0.9, 0.6)),
    "cpu-large": (6, 2, True, (4.0, 1.5, 1.5, 1.0)),
    "arm": (1, 1, False, (1.6, 0.6, 0.6, 0.4)),
    "media": (3, 2, False, (8.0, 4.0, 4.0, 0.8)),
    "gpu-old": (4, 1, True, (12.0, 8.0, 1.2, 0.6)),
    "gpu-new": (3, 2, True, (16.0, 12.0, 1.6, 5.0)),
}


def _video_speeds(streams: bool, speeds: Sequence[float]) -> dict[str, float]:
    """Small pictures leave every encoder partly idle: 480p costs more than its pixels."""
    return {
        f"{codec}/{height}{suffix}": speed * (0.75 if height == "480p" else 1.0)
        for suffix in ("", "/large")[: 1 + streams]
        for codec, speed in zip(CODECS, speeds, strict=True)
        if speed
        for height in PIXELS
    }


def video(rng: Random) -> Shape:
    """24 engines of 6 types, 36 slots; 4 codecs × 4 resolutions × large; ladders of 1 to 4 resolutions."""
    fleet = _fleet({
        name: (count, slots, _video_speeds(streams, speeds))
        for name, (count, slots, streams, speeds) in VIDEO_ENGINES.items()
    })  # fmt: skip
    best = best_speeds(fleet)

    def title(rng: Random) -> Title:
        codec = rng.choices(CODECS, CODEC_SHARES)[0]
        seconds = rng.lognormvariate(4.8, 1.2)
        suffix = "/large" if rng.random() < LARGE_SHARE else ""
        steps, rungs = list(PIXELS), rng.randint(1, 4)
        top = rng.randint(rungs, len(steps))
        names = [f"{codec}/{height}{suffix}" for height in steps[top - rungs : top]]
        work = [seconds * PIXELS[height] for height in steps[top - rungs : top]]
        return [(name, min(units, BEST_MAX_S * best[name])) for name, units in zip(names, work, strict=True)]

    return Shape(fleet, title)


# ------------------------------------------------------------------------------- random, related, aws, identical


LONGEST = 60.0
"""No title is longer than this many times the median, or one job would decide the result of a run."""


def _batches(fleet: FleetPlan, shares: Sequence[float], sigma: float, best_s: float) -> Shape:
    """Titles of one class: one to four jobs at once, alike in length, lognormal around ``best_s`` on the best."""
    names, speeds = sorted(best_speeds(fleet)), best_speeds(fleet)
    total = sum(shares)
    steps = [sum(shares[: number + 1]) / total for number in range(len(shares))]

    def title(rng: Random) -> Title:
        name = names[min(bisect(steps, rng.random()), len(names) - 1)]
        middle = best_s * min(rng.lognormvariate(0.0, sigma), LONGEST)
        return [
            (name, middle * speeds[name] * rng.lognormvariate(0.0, 0.25)) for _ in range(rng.randint(1, 4))
        ]

    return Shape(fleet, title)


def _holes(rng: Random, classes: Sequence[str], share: float, sigma: float) -> dict[str, float]:
    return {name: rng.lognormvariate(0.0, sigma) for name in classes if rng.random() >= share}


def _covered(speeds: Sequence[dict[str, float]], classes: Sequence[str]) -> None:
    """Every class runs somewhere."""
    for number, name in enumerate(classes):
        if not any(name in each for each in speeds):
            speeds[number % len(speeds)][name] = 1.0


def random(rng: Random) -> Shape:
    """8 to 12 types with lognormal speeds (sigma 1) and 15 to 30 % holes; 20 to 40 classes."""
    types, classes = rng.randint(8, 12), [f"class-{number:02}" for number in range(rng.randint(20, 40))]
    share = rng.uniform(0.15, 0.30)
    speeds = [_holes(rng, classes, share, 1.0) for _ in range(types)]
    _covered(speeds, classes)
    fleet = _fleet({
        f"type-{number:02}": (rng.randint(1, 4), rng.randint(1, 2), each) for number, each in enumerate(speeds)
    })  # fmt: skip
    shares = [rng.lognormvariate(0.0, 0.7) for _ in classes]
    return _batches(fleet, shares, rng.uniform(1.3, 1.6), 4.0)


def related(rng: Random) -> Shape:
    """Four types that differ in nothing but speed: 1, 1.5, 2.2 and 4."""
    rows = {"slow": (12, 1.0), "fair": (8, 1.5), "good": (8, 2.2), "fast": (4, 4.0)}
    classes = ("class-a", "class-b", "class-c")
    fleet = _fleet({name: (count, 1, dict.fromkeys(classes, speed)) for name, (count, speed) in rows.items()})
    return _batches(fleet, (3, 2, 1), 1.3, 9.0)


def measured(rng: Random) -> Shape:
    """Six EC2 types × three codecs, as measured; five machines of each."""
    rows = {
        name: (5, 1, {codec: 1 / seconds for codec, seconds in zip(aws.CODECS, times, strict=True)})
        for name, times in aws.SECONDS.items()
    }
    return _batches(_fleet(rows), (5, 3, 2), 1.3, 12.0)


def identical(rng: Random) -> Shape:
    """32 equal engines."""
    fleet = _fleet({"engine": (32, 1, {"class-a": 1.0, "class-b": 1.0})})
    return _batches(fleet, (2, 1), 1.3, 15.0)


# ------------------------------------------------------------------------------------------------ hold-out


def genai(rng: Random) -> Shape:
    """Inference on accelerators: a model that just does not fit runs from the host's memory, slowly."""
    models = {
        "text-8b": (1, 6),
        "text-70b": (3, 1.5),
        "image": (1, 3),
        "video-clip": (2, 0.4),
        "speech": (0, 8),
    }
    cards = {
        "l4": (10, 1, 1.0, 1), "a10": (6, 1, 1.7, 2), "a100": (5, 2, 4.5, 3), "h100": (2, 2, 9.0, 3),
        "cpu": (6, 1, 0.25, 0),
    }  # fmt: skip
    fleet = _fleet({
        card: (count, slots, {
            model: speed * factor * rng.lognormvariate(0.0, 0.15) * (0.15 if need > size else 1.0)
            for model, (need, factor) in models.items() if need <= size + 1
        })
        for card, (count, slots, speed, size) in cards.items()
    })  # fmt: skip
    return _batches(fleet, (2, 2, 4, 1, 6), 1.3, 8.0)


def openb(rng: Random) -> Shape:
    """A shared research cluster: few classes that all may use, many narrow ones, very long tails."""
    wide, narrow = [f"wide-{number}" for number in range(4)], [f"narrow-{number:02}" for number in range(18)]
    speeds = [_holes(rng, wide, 0.0, 0.5) | _holes(rng, narrow, 0.6, 0.8) for _ in range(9)]
    _covered(speeds, narrow)
    fleet = _fleet({f"node-{number}": (rng.randint(2, 5), 1, each) for number, each in enumerate(speeds)})
    steps = zipf(len(wide) + len(narrow), 0.8)
    shares = [high - low for low, high in zip([0.0, *steps], steps, strict=False)]
    return _batches(fleet, shares, 1.6, 8.0)


def lublin(rng: Random) -> Shape:
    """A batch system: run times from two modes (tests that end at once, and real runs), on three generations."""
    generations = {"old": (12, 1.0), "mid": (10, 1.6), "new": (6, 2.5)}
    classes = ("serial", "vector", "licensed")
    fleet = _fleet({
        name: (count, 1, {
            each: speed * (2.0 if each == "vector" and name == "new" else 1.0)
            for each in classes if not (each == "licensed" and name == "mid")
        })
        for name, (count, speed) in generations.items()
    })  # fmt: skip
    speeds = best_speeds(fleet)

    def title(rng: Random) -> Title:
        name = rng.choices(classes, (6, 3, 1))[0]
        best_s = rng.gammavariate(4.2, 0.94) if rng.random() < 0.55 else rng.gammavariate(3.0, 45.0)
        return [(name, max(best_s, 0.5) * speeds[name]) for _ in range(rng.randint(1, 4))]

    return Shape(fleet, title)


Family = Callable[[Random], Shape]
DEVELOPMENT: Mapping[str, Family] = {
    "video": video, "random": random, "related": related, "aws": measured, "identical": identical,
}  # fmt: skip
HOLD_OUT: Mapping[str, Family] = {"genai": genai, "openb": openb, "lublin": lublin}
FAMILIES: Mapping[str, Family] = {**DEVELOPMENT, **HOLD_OUT}
