"""Who takes part in the demo: three engines that differ, and jobs that only some of them can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from dispatch_cli.demo.clips import Clip


@frozen(kw_only=True)
class Cast:
    """One engine: its id, what it is kept to, and how to say that."""

    id: str
    codecs: Sequence[str] = ()
    options: Sequence[str] = ()
    says: str

    def can(self, codec: str) -> bool:
        """Whether it makes this codec."""
        return not self.codecs or codec in self.codecs


# Every codec is made by at least two of them, so that whichever is killed, its jobs have somewhere to go.
ENGINES: Final = (
    Cast(id="alder", codecs=("h264", "vp9"), says="h264 and vp9 only"),
    Cast(id="birch", says="every codec its ffmpeg has"),
    Cast(
        id="cedar",
        codecs=("hevc", "av1"),
        options=("--fact", "streaming=true"),
        says="hevc and av1 only, the one for streaming",
    ),
)


@frozen(kw_only=True)
class Part:
    """One job of the demo."""

    clip: Clip
    codec: str
    suffix: str = ".mp4"
    priority: int = 0
    height: int | None = None
    preset: str | None = None
    requirements: Sequence[str] = field(factory=tuple)

    def form(self, number: int, folder: Path) -> dict[str, Any]:
        """The job as it is submitted; its result goes into ``folder``."""
        parameters: dict[str, Any] = {
            "source": str(self.clip.path),
            "target": str(folder / f"{number:02}-{self.clip.path.stem}-{self.codec}{self.suffix}"),
            "codec": self.codec,
        }
        if self.height is not None:
            parameters["height"] = self.height
        if self.preset is not None:
            parameters["preset"] = self.preset
        media = self.clip.media
        size = {
            "size_bytes": media.size_bytes,
            "duration_s": self.clip.seconds,
            "width": media.width,
            "height": media.height,
        }
        return {
            "kind": "transcode",
            "parameters": parameters,
            "priority": self.priority,
            "size": size,
            "requirements": list(self.requirements),
            "retry": {"max_attempts": 4, "first_delay_s": 0.5},
        }


def parts_of(clips: Sequence[Clip]) -> list[Part]:
    """Nine jobs or more, over every clip and four codecs. The first is the long one: its engine will be killed.

    ``clips`` come largest first.
    """
    large, medium, small = clips[0], clips[len(clips) // 2], clips[-1]
    fixed = [
        Part(clip=large, codec="h264", preset="slower", priority=20),
        Part(clip=medium, codec="hevc", requirements=("streaming == true",)),
        Part(clip=small, codec="av1", suffix=".mkv", priority=10),
        Part(clip=medium, codec="vp9", suffix=".webm"),
        Part(clip=small, codec="h264", priority=-10),
        Part(clip=medium, codec="av1", suffix=".webm", height=180),
        Part(clip=small, codec="hevc", priority=5),
        Part(clip=large, codec="vp9", suffix=".mkv", height=180),
        Part(clip=medium, codec="h264", height=240),
    ]
    used = {large.path, medium.path, small.path}
    others = [clip for clip in clips if clip.path not in used]
    codecs = ("hevc", "vp9", "av1", "h264")
    more = [Part(clip=clip, codec=codecs[n % 4], suffix=".mkv", height=360) for n, clip in enumerate(others)]
    return [*fixed, *more]
