"""What the benchmarks dispatch: jobs of many classes, engines with room for all of them."""

from __future__ import annotations

from collections.abc import Iterator

from dispatch_core import Benchmark, Dispatcher, JobSize, JobSpec, Profile

CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")
HEIGHTS = (240, 360, 480, 720, 1_080, 1_440, 2_160)


def specs(classes: int) -> Iterator[JobSpec]:
    """Jobs for ever, going around ``classes`` scheduling classes, with priorities and lengths mixed."""
    number = 0
    while True:
        number += 1
        kind = number % classes
        extra = () if kind < 35 else (f"tag lacks t{kind}",)
        yield JobSpec(
            parameters={"source": "in.mp4", "target": f"out-{number}.mp4", "codec": CODECS[kind % 5]},
            size=JobSize(height=HEIGHTS[kind // 5 % 7], duration_us=(1 + number % 97) * 10_000_000),
            priority=number % 4,
            requirements=extra,
        )


def register(dispatcher: Dispatcher, engines: int, *, slots: int = 1_000, alike: bool = False) -> list[str]:
    """Engines that encode everything, each at a speed of its own or all ``alike``."""
    names = [f"engine-{number}" for number in range(engines)]
    for number, name in enumerate(names):
        cells = [
            Benchmark(task_class=f"{codec}/{height}p/encode", units_per_s=1.0 + (0 if alike else number % 7))
            for codec in CODECS
            for height in HEIGHTS
        ]
        profile = Profile(slots=slots, facts={"codec": CODECS, "ffmpeg": "7.0"}, benchmarks=tuple(cells))
        dispatcher.register(name, profile, session="bench")
    return names
