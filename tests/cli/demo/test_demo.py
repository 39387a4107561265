"""The demo as users run it, and how it reads their inputs."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dispatch_cli.demo.clips import make_clips, own_clips, parse_inputs
from dispatch_cli.demo.plan import ENGINES, parts_of
from dispatch_cli.engine.ffmpeg import locate
from dispatch_cli.engine.media import make_clip
from dispatch_cli.exits import CommandFailure

PROGRAM = [sys.executable, "-c", "from dispatch_cli.main import main; main()", "demo"]


def demo(folder: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    """The demo, whose temporary files go into ``folder``."""
    return subprocess.Popen(
        [*PROGRAM, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", **variables},
    )


def running_in(folder: Path) -> list[str]:
    """The command lines of processes that have this folder in their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words.replace("\0", " "))
    return found


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A user's videos: one long enough to be interrupted, also where there are many processors, and two short ones."""
    folder = tmp_path / "videos"
    folder.mkdir()
    tall = 360 if (os.cpu_count() or 1) <= 2 else 540
    for name, seconds, height in (("long", 12.0, tall), ("short", 1.0, 360), ("small", 0.9, 180)):
        make_clip(folder / f"{name}.mp4", seconds, width=height * 16 // 9, height=height)
    return folder


@pytest.mark.timeout(110)
@pytest.mark.parametrize("own", [True, pytest.param(False, marks=pytest.mark.soak)], ids=["own", "made"])
def test_the_demo_rescues_a_job_and_every_output_decodes(tmp_path: Path, videos: Path, own: bool) -> None:
    """Nine real jobs end well although an engine is killed at work; the books balance; nothing is left behind."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    source = ["--input", str(videos)] if own else ["--clips-seconds", "1"]
    run = demo(folder, "--json", *source, "--time-limit", "90s")
    output, _ = run.communicate(timeout=100)
    assert run.returncode == 0, output
    told = json.loads(output)
    assert told["good"] is True
    assert told["identity_holds"] is True
    assert told["counts"] == {"completed": len(told["jobs"])}
    assert len(told["jobs"]) >= 8
    assert {job["codec"] for job in told["jobs"]} == {"h264", "hevc", "av1", "vp9"}
    assert all(job["decoded_s"] > 0.7 and job["size_bytes"] > 0 for job in told["jobs"])
    assert told["killed"]
    assert told["rescued"] not in {None, told["killed"]}
    rescued = [job for job in told["jobs"] if job["attempts"] > 1]
    assert [job["engine"] for job in rescued] == [told["rescued"]]
    story = "\n".join(told["story"])
    for words in ("submitted", "was killed", "ran out", f"granted to {told['rescued']}", "completed"):
        assert words in story
    assert not running_in(tmp_path)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_an_interrupted_demo_cleans_up(tmp_path: Path, videos: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end every process and remove the folder."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    run = demo(folder, "--input", str(videos))
    assert run.stdout is not None
    for line in run.stdout:
        if "running on" in line:
            break
    assert running_in(folder)
    run.send_signal(number)
    run.stdout.read()
    assert run.wait(20) == 130
    run.stdout.close()
    deadline = time.monotonic() + 3
    while running_in(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running_in(folder)
    assert not list(folder.iterdir())


def test_own_videos_are_found_and_only_read(tmp_path: Path) -> None:
    """Folders are searched, what is no video is passed over, long ones are cut in a copy, no input changes."""
    videos, scratch = tmp_path / "my videos", tmp_path / "scratch"
    (videos / "deep").mkdir(parents=True)
    scratch.mkdir()
    make_clip(videos / "short.mp4", 1, width=160, height=90)
    make_clip(videos / "deep" / "long.mkv", 4, width=160, height=90)
    (videos / "notes.txt").write_text("no video")
    before = _digests(videos)
    clips = own_clips([videos], scratch, 2.0, locate())
    assert [clip.name for clip in clips] == ["long.mkv", "short.mp4"]
    assert clips[0].path.parent == scratch
    assert clips[0].seconds == pytest.approx(2.0, abs=0.3)
    assert clips[1].path == videos / "short.mp4"
    assert _digests(videos) == before


def test_inputs_that_are_not_there_are_named(tmp_path: Path) -> None:
    """A wrong path, or a folder without videos, ends the demo with what is wrong."""
    with pytest.raises(CommandFailure, match="does not exist"):
        own_clips([tmp_path / "nowhere"], tmp_path, None, locate())
    with pytest.raises(CommandFailure, match="no video"):
        own_clips([tmp_path], tmp_path, None, locate())


def test_paths_may_be_separated_as_people_do(tmp_path: Path) -> None:
    """One path with spaces, several separated as in PATH, or by spaces with quotes."""
    one, two = tmp_path / "a file.mp4", tmp_path / "b.mp4"
    for path in (one, two):
        path.touch()
    assert parse_inputs(str(one)) == [one]
    assert parse_inputs(f"{one}{os.pathsep}{two}") == [one, two]
    assert parse_inputs(f"'{one}' {two}") == [one, two]


def test_any_engine_may_die(tmp_path: Path) -> None:
    """Every job that is not bound to one engine could be done by two, so a kill strands nothing."""
    parts = parts_of(make_clips(tmp_path, 0.5, 1, locate()))
    assert len(parts) >= 8
    for part in parts:
        able = [cast.id for cast in ENGINES if cast.can(part.codec)]
        assert len(able) >= 2, part.codec
    assert {part.codec for part in parts} == {"h264", "hevc", "av1", "vp9"}
    assert len({part.priority for part in parts}) >= 4


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
