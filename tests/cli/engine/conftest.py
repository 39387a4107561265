"""A real ffmpeg and a real clip for the tests of media work."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from dispatch_cli.engine.encoders import Coder
from dispatch_cli.engine.ffmpeg import list_encoders, locate
from dispatch_cli.engine.media import make_clip


@pytest.fixture(scope="session", autouse=True)
def ffmpeg() -> Iterator[Path]:
    """The ffmpeg of the lock file, the same on all machines, unless DISPATCH_FFMPEG names another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPATCH_FFMPEG", os.environ.get("DISPATCH_FFMPEG") or imageio_ffmpeg.get_ffmpeg_exe())
        yield locate()


@pytest.fixture(scope="session")
def coders(ffmpeg: Path) -> Collection[Coder]:
    """What it lists as its encoders."""
    return list_encoders(ffmpeg)


@pytest.fixture(scope="session")
def clip(ffmpeg: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of 160x90 H.264 with AAC in MP4."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(path, 2, width=160, height=90, ffmpeg=ffmpeg)
    return path
