"""ffmpeg is found where the user says, and only what works is claimed."""

import os
import stat
from pathlib import Path

import pytest

from dispatch_cli.engine import ffmpeg as room
from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.ffmpeg import list_decoders, list_encoders, locate, probe, read_version
from dispatch_cli.engine.host import host_facts

LISTING = """Encoders:
 V..... = Video
 ------
 V....D libx264              H.264 / AVC (codec h264)
 V....D mpeg4                MPEG-4 part 2
 V..X.D libfuture            Not ready (codec future)
 V....D h264_nvenc           NVIDIA NVENC H.264 encoder (codec h264)
 V....D hevc_nvenc           NVIDIA NVENC hevc encoder (codec hevc)
 A....D aac                  AAC (Advanced Audio Coding)
 S..... srt                  SubRip subtitle (codec subrip)
"""
DECODERS = """Decoders:
 ------
 VFS..D h264                 H.264
 V..... h264_cuvid           Nvidia CUVID H264 decoder (codec h264)
 V..... h264_qsv             H264 video (codec h264)
"""
# An ffmpeg whose hardware works for H.264 alone, which is what an old card looks like.
STUB = f"""#!/bin/sh
case "$*" in
  *-version*) echo 'ffmpeg version {{version}} Copyright (c)'; echo 'libavcodec     61. 19.100' ;;
  *-encoders*) cat <<'END'
{LISTING}END
  ;;
  *-decoders*) cat <<'END'
{DECODERS}END
  ;;
  *-hwaccels*) printf 'Hardware acceleration methods:\\ncuda\\nqsv\\n\\n' ;;
  *cuda=hw*|*h264_nvenc*) exit 0 ;;
  *hevc_nvenc*) {{hevc_trial}} ;;
  *) exit 1 ;;
esac
"""


def _stub(folder: Path, version: str = "7.1-static", hevc_trial: str = "kill -SEGV $$") -> Path:
    path = folder / "ffmpeg"
    path.write_text(STUB.replace("{version}", version).replace("{hevc_trial}", hevc_trial))
    path.chmod(0o755)
    return path


def test_an_explicit_path_comes_first(tmp_path: Path) -> None:
    """What the user names is used, even if other places have one."""
    stub = _stub(tmp_path)
    assert locate(stub, {"DISPATCH_FFMPEG": "/elsewhere", "PATH": os.environ["PATH"]}) == stub


def test_the_environment_comes_before_path(tmp_path: Path) -> None:
    """DISPATCH_FFMPEG is used when nothing is named, and may be a bare name on PATH."""
    stub = _stub(tmp_path)
    (tmp_path / "ffmpeg-best").symlink_to(stub)
    assert locate(environ={"DISPATCH_FFMPEG": str(stub), "PATH": ""}) == stub
    found = locate(environ={"DISPATCH_FFMPEG": "ffmpeg-best", "PATH": str(tmp_path)})
    assert found == tmp_path / "ffmpeg-best"


def test_path_comes_before_the_package(tmp_path: Path) -> None:
    """The system's own ffmpeg wins over the one that a Python package brings."""
    assert locate(environ={"PATH": str(tmp_path)}) != tmp_path / "ffmpeg"
    assert locate(environ={"PATH": str(_stub(tmp_path).parent)}) == tmp_path / "ffmpeg"


@pytest.mark.parametrize("mode", [None, 0o644], ids=["missing", "not-executable"])
def test_one_that_is_named_but_cannot_run_is_not_passed_over(tmp_path: Path, mode: int | None) -> None:
    """A typing mistake must not silently give another ffmpeg."""
    path = tmp_path / "mine"
    if mode is not None:
        path.touch()
        path.chmod(mode)
        assert not path.stat().st_mode & stat.S_IXUSR
    with pytest.raises(TranscodeError, match="DISPATCH_FFMPEG") as caught:
        locate(environ={"DISPATCH_FFMPEG": str(path)})
    assert caught.value.failure_class == "engine"


def test_without_any_the_error_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install, name, or get the package: all three ways are in the message."""
    monkeypatch.setattr(room, "_packaged", lambda: None)
    with pytest.raises(TranscodeError, match=r"PATH.*DISPATCH_FFMPEG.*pip install imageio-ffmpeg"):
        locate(environ={"PATH": ""})


def test_a_program_that_is_no_ffmpeg_is_refused() -> None:
    """Something else by the name is found out before any job is taken."""
    with pytest.raises(TranscodeError, match="no working ffmpeg"):
        read_version(Path("/bin/sh"))
    with pytest.raises(TranscodeError, match="cannot start"):
        read_version(Path("/nowhere/ffmpeg"))


def test_one_too_old_is_refused(tmp_path: Path) -> None:
    """Rather at the start than with every job; a build that does not say how old it is, is taken."""
    with pytest.raises(TranscodeError, match=r"version 4\.2\.2, older than 4\.4"):
        read_version(_stub(tmp_path, "4.2.2-static"))
    assert read_version(_stub(tmp_path, "4.4")).number == "4.4"


@pytest.mark.parametrize(
    ("build", "number"),
    [
        ("9.0.2", "9.0.2"),
        ("n9.0.2-17-g2a571b6068-20260930", "9.0.2"),
        ("5.1.6-0+deb12u1", "5.1.6"),
        ("N-117000-gabcdef", "7"),
        ("git-2025-01-01-abc", "7"),
    ],
)
def test_versions_become_comparable(tmp_path: Path, build: str, number: str) -> None:
    """Releases, vendors' builds and snapshots (by their libavcodec) all give a number."""
    version = read_version(_stub(tmp_path, build))
    assert (version.number, version.build) == (number, build)


def test_only_hardware_that_encodes_is_claimed(tmp_path: Path) -> None:
    """Of two listed hardware encoders the one whose trial crashed is left out, and so is what has no device."""
    facts = probe(_stub(tmp_path))
    assert facts["encoder"] == ["aac", "h264_nvenc", "libx264", "mpeg4"]
    assert facts["codec"] == ["aac", "h264", "mpeg4"]
    assert facts["hwaccel"] == ["cuda"]
    assert facts["decoder"] == ["h264", "h264_cuvid"]


def test_trials_end_with_the_budget(tmp_path: Path) -> None:
    """A driver that hangs costs its encoder, not the start of the engine."""
    facts = probe(_stub(tmp_path, hevc_trial="exec sleep 60"), trials_budget_s=0.5)
    assert "hevc" not in str(facts["codec"])
    assert probe(_stub(tmp_path), trials_budget_s=0.0)["encoder"] == ["aac", "libx264", "mpeg4"]


def test_the_real_ffmpeg_is_described(ffmpeg: Path) -> None:
    """Every fact has its type, the codecs this product is about are there, and lists are sorted."""
    facts = probe(ffmpeg)
    codecs, encoders = facts["codec"], facts["encoder"]
    assert isinstance(codecs, list)
    assert isinstance(encoders, list)
    assert {"h264", "hevc", "av1", "vp9", "mpeg4", "prores", "aac"} <= set(codecs)
    assert {"libx264", "libx265", "libvpx-vp9", "aac"} <= set(encoders)
    assert encoders == sorted(encoders)
    assert isinstance(facts["ffmpeg"], str)
    assert facts["ffmpeg"][0].isdigit()
    assert isinstance(facts["decoder"], list)
    assert "h264" in facts["decoder"]
    assert {"os", "arch", "cpus", "hwaccel"} <= set(facts)


def test_listings_say_what_needs_hardware(ffmpeg: Path) -> None:
    """The plain listings hold everything compiled in, with codec and kind."""
    x264 = next(coder for coder in list_encoders(ffmpeg) if coder.name == "libx264")
    assert (x264.codec, x264.kind, x264.is_hardware) == ("h264", "video", False)
    assert any(coder.name == "aac" and coder.kind == "audio" for coder in list_decoders(ffmpeg))


def test_a_container_reports_its_own_share(tmp_path: Path) -> None:
    """Processors and memory are those that the limits of the container leave."""
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text(f"{512 << 20}\n")
    facts = host_facts(tmp_path)
    assert (facts["cpus"], facts["memory_gb"]) == (1, 0.5)


def test_without_limits_the_machine_counts(tmp_path: Path) -> None:
    """`max` and missing files mean no limit."""
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert host_facts(tmp_path) == host_facts(tmp_path / "missing")
    assert isinstance(host_facts(tmp_path)["cpus"], int)
