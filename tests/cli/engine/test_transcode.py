"""A transcode makes what was asked for, whole or not at all."""

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from dispatch_cli.engine import transcode as room
from dispatch_cli.engine.encoders import Coder
from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.media import make_clip, verify_decodes
from dispatch_cli.engine.process import child_environment
from dispatch_cli.engine.recipe import Transcode
from dispatch_cli.engine.transcode import Progress, Transcoded, TranscodeRun, temporary_path


def _run(source: Path | str, target: Path, **parameters: object) -> Transcoded:
    wanted = Transcode.from_mapping({"source": str(source), "target": str(target), **parameters})
    return TranscodeRun(wanted, attempt_tag="1.1").run()


def _failure(source: Path | str, target: Path, **parameters: object) -> TranscodeError:
    before = sorted(target.parent.iterdir()) if target.parent.exists() else []
    with pytest.raises(TranscodeError) as caught:
        _run(source, target, **parameters)
    after = sorted(target.parent.iterdir()) if target.parent.exists() else []
    assert after == before, "a failure leaves the folder as it was"
    return caught.value


@pytest.mark.parametrize(
    ("name", "parameters", "encoder", "codecs"),
    [
        ("x264.mp4", {"codec": "h264", "preset": "ultrafast", "crf": 30}, "libx264", ("h264", "aac")),
        ("x265.mp4", {"codec": "hevc"}, "libx265", ("hevc", "aac")),
        ("svt.webm", {"codec": "av1", "preset": "12"}, "libsvtav1", ("av1", "opus")),
        ("vp9.mkv", {"codec": "vp9"}, "libvpx-vp9", ("vp9", "aac")),
        ("named.mov", {"encoder": "mpeg4", "audio": "copy"}, "mpeg4", ("mpeg4", "aac")),
    ],
)
def test_each_codec_gives_a_file_that_decodes(
    clip: Path,
    tmp_path: Path,
    coders: Collection[Coder],
    name: str,
    parameters: dict[str, object],
    encoder: str,
    codecs: tuple[str, str],
) -> None:
    """The result has the codecs asked for, decodes to its end, is as long as its source, and stands alone."""
    if encoder not in {coder.name for coder in coders}:
        pytest.skip(f"the ffmpeg named for this run has no {encoder}")
    done = _run(clip, tmp_path / name, **parameters)
    media = verify_decodes(tmp_path / name)
    assert done.encoder == encoder
    assert (media.video_codec, media.audio_codec) == codecs
    assert (media.width, media.height) == (160, 90)
    assert media.duration_us is not None
    assert abs(media.duration_us - 2_000_000) <= 200_000
    assert list(tmp_path.iterdir()) == [done.target] == [tmp_path / name]
    assert done.media.size_bytes == (tmp_path / name).stat().st_size


def test_the_picture_fits_the_box(clip: Path, tmp_path: Path) -> None:
    """A 16:9 picture in a square box keeps its shape."""
    done = _run(clip, tmp_path / "small.mkv", preset="ultrafast", width=64, height=64, audio="none")
    assert (done.media.width, done.media.height) == (64, 36)
    assert done.media.audio_codec is None


def test_progress_rises_to_one(clip: Path, tmp_path: Path) -> None:
    """It never falls, is 1 only at the end, and by then the target exists."""
    told: list[tuple[Progress, bool]] = []
    target = tmp_path / "out.mp4"
    wanted = Transcode(source=str(clip), target=f"file://{target}", preset="ultrafast")
    TranscodeRun(
        wanted, attempt_tag="1.1", on_progress=lambda progress: told.append((progress, target.exists()))
    ).run()
    fractions = [progress.fraction for progress, _ in told]
    assert fractions == sorted(fractions)
    assert [exists for _, exists in told] == [fraction == 1 for fraction in fractions]
    last = told[-1][0]
    assert (last.stage, last.fraction) == ("done", 1)
    assert last.out_time_us is not None
    assert last.total_size_bytes is not None


def test_the_result_replaces_what_stood_there(clip: Path, tmp_path: Path) -> None:
    """Even the source itself: it stays whole until the result is."""
    both = Path(shutil.copy(clip, tmp_path / "film.mp4"))
    _run(both, both, preset="ultrafast", width=80)
    assert verify_decodes(both).width == 80


def test_a_target_is_written_under_another_name(tmp_path: Path) -> None:
    """Hidden, beside the target, one per attempt, and never longer than a name may be."""
    target = tmp_path / ("ü" * 125 + ".mp4")
    first, second = temporary_path(target, "9.1"), temporary_path(target, "9.2")
    assert first != second
    assert first.parent == tmp_path
    assert first.name.startswith(".ü")
    assert first.name.endswith(".9.1.part")
    first.touch()
    for tag in ("", "../x", "a b", "x" * 65):
        with pytest.raises(ValueError, match="attempt tag"):
            temporary_path(target, tag)


def test_a_missing_source_is_an_input_failure(tmp_path: Path) -> None:
    """No engine of the fleet could do better."""
    assert _failure(tmp_path / "gone.mp4", tmp_path / "out.mp4").failure_class == "input"


def test_a_garbage_source_is_an_input_failure(tmp_path: Path) -> None:
    """What ffmpeg said is the detail."""
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(bytes(range(256)) * 100)
    error = _failure(garbage, tmp_path / "out.mp4")
    assert error.failure_class == "input"
    assert "garbage.mp4" in error.detail


def test_a_source_without_pictures_is_an_input_failure(ffmpeg: Path, tmp_path: Path) -> None:
    """Music is not video."""
    tone = tmp_path / "tone.wav"
    subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", tone], check=True)
    error = _failure(tone, tmp_path / "out.mp4")
    assert (error.failure_class, error.message) == ("input", f"{tone} has no video")


def test_a_source_that_breaks_off_is_an_input_failure(tmp_path: Path) -> None:
    """ffmpeg makes half a film of half a source and calls it a success; we do not."""
    make_clip(tmp_path / "whole.mkv", 2, width=160, height=90)
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "half.mkv").write_bytes(data[: len(data) // 2])
    error = _failure(tmp_path / "half.mkv", tmp_path / "out.mp4", preset="ultrafast")
    assert error.failure_class == "input"
    assert "the source ends at" in error.message


def test_an_unknown_encoder_is_an_engine_failure(clip: Path, tmp_path: Path) -> None:
    """Another engine may have it."""
    error = _failure(clip, tmp_path / "out.mp4", encoder="h264_future")
    assert (error.failure_class, error.message) == ("engine", "this ffmpeg has no encoder 'h264_future'")
    assert _failure(clip, tmp_path / "out.mp4", codec="h299").failure_class == "engine"


def test_an_encoder_that_is_listed_but_does_not_work_is_an_engine_failure(
    clip: Path, tmp_path: Path, coders: Collection[Coder]
) -> None:
    """The hardware of a job's choice may be missing here."""
    listed = {coder.name for coder in coders}
    name = "h264_v4l2m2m" if "h264_v4l2m2m" in listed else "h264_nvenc"
    if name not in listed or Path("/dev/video0").exists() or Path("/dev/nvidia0").exists():
        pytest.skip("this ffmpeg lists no hardware encoder, or the hardware exists")
    assert _failure(clip, tmp_path / "out.mp4", encoder=name).failure_class == "engine"


def test_a_refused_preset_is_an_input_failure(clip: Path, tmp_path: Path) -> None:
    """The encoder's own words tell."""
    error = _failure(clip, tmp_path / "out.mp4", preset="warp")
    assert error.failure_class == "input"
    assert "warp" in error.message


def test_a_missing_target_folder_is_a_resource_failure(clip: Path, tmp_path: Path) -> None:
    """A share that is not mounted here; making the folder would fill the wrong disk."""
    error = _failure(clip, tmp_path / "nas" / "out.mp4")
    assert error.failure_class == "resource"
    assert not (tmp_path / "nas").exists()


def test_a_folder_as_target_is_an_input_failure(clip: Path, tmp_path: Path) -> None:
    """Nothing could be put in its place."""
    (tmp_path / "out.mp4").mkdir()
    assert _failure(clip, tmp_path / "out.mp4").failure_class == "input"


def test_surround_sound_becomes_opus(ffmpeg: Path, tmp_path: Path) -> None:
    """libopus refuses the layout that most films have, unless it is named differently."""
    source = tmp_path / "film.mkv"
    tone = "sine=duration=1,aformat=channel_layouts=5.1(side)"
    inputs = ["-f", "lavfi", "-i", "testsrc2=size=64x64:duration=1", "-f", "lavfi", "-i", tone]
    subprocess.run([ffmpeg, "-v", "error", *inputs, "-c:v", "mpeg4", "-c:a", "flac", str(source)], check=True)
    done = _run(source, tmp_path / "out.webm", codec="vp9")
    assert (done.source_media.audio_codec, done.media.audio_codec) == ("flac", "opus")


def test_odd_sides_and_deep_colours_become_playable(ffmpeg: Path, tmp_path: Path) -> None:
    """An odd 4:4:4 picture fails in most encoders and players as it is."""
    source = tmp_path / "odd.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=161x91:duration=1"]
    subprocess.run(
        [ffmpeg, "-v", "error", *picture, "-c:v", "ffv1", "-pix_fmt", "yuv444p10le", str(source)], check=True
    )
    done = _run(source, tmp_path / "out.mp4", preset="ultrafast")
    assert (done.media.width, done.media.height) == (160, 90)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root on Linux can make a filesystem")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("this machine does not let filesystems be mounted")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_a_resource_failure(clip: Path, tiny_disk: Path) -> None:
    """And the half-written file is gone, so that there is room again."""
    error = _failure(clip, tiny_disk / "out.mp4", codec="mpeg4", crf=1)
    assert error.failure_class == "resource"
    assert "No space left" in error.message


def test_a_file_size_limit_is_a_resource_failure(clip: Path, tmp_path: Path) -> None:
    """The limit of a system or a quota is no fault of the job."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        error = _failure(clip, tmp_path / "out.mp4", codec="mpeg4", crf=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.failure_class == "resource"


def test_a_result_that_cannot_be_put_in_place_is_a_resource_failure(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk at the very last step is still told, and cleaned up after."""

    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(room, "_sync", fail)
    error = _failure(clip, tmp_path / "out.mp4", preset="ultrafast")
    assert (error.failure_class, "Input/output error" in error.message) == ("resource", True)


LYING = """#!/bin/sh
case "$*" in
  *-progress*) for last; do :; done; head -c 3000 "{clip}" > "${{last#file:}}"
    echo out_time_us=2000000; echo progress=end ;;
  *) exec {ffmpeg} "$@" ;;
esac
"""


def test_a_result_is_looked_at_before_it_counts(ffmpeg: Path, clip: Path, tmp_path: Path) -> None:
    """An exit code of 0 has been seen with broken files; the old target is worth more than such a one."""
    stub = tmp_path / "ffmpeg"
    stub.write_text(LYING.format(clip=clip, ffmpeg=ffmpeg))
    stub.chmod(0o755)
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    with pytest.raises(TranscodeError, match="the result is not readable") as caught:
        TranscodeRun(Transcode(source=str(clip), target=str(target)), attempt_tag="1.1", ffmpeg=stub).run()
    assert caught.value.failure_class == "engine"
    assert target.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == [stub, target]


def test_the_child_gets_no_secrets_and_speaks_plainly() -> None:
    """Keys of the agent stay with it, and variables that change ffmpeg's output are set right."""
    given = {
        "PATH": "/bin",
        "DISPATCH_TOKEN": "s",
        "FFREPORT": "x",
        "AV_LOG_FORCE_COLOR": "1",
        "SVT_LOG": "4",
    }
    assert child_environment(given) == {"PATH": "/bin", "AV_LOG_FORCE_NOCOLOR": "1", "SVT_LOG": "1"}


def test_the_caller_has_the_last_word_before_the_target_appears(clip: Path, tmp_path: Path) -> None:
    """`before_publish` sees the whole result under its temporary name; if it raises, the target stays as it was."""
    target = tmp_path / "out.mp4"
    target.write_bytes(b"somebody else's")
    seen: list[int] = []

    def refuse() -> None:
        seen.append(temporary_path(target, "1.1").stat().st_size)
        raise TranscodeError("cancelled", "the lease is lost")

    run = TranscodeRun(
        Transcode(source=str(clip), target=str(target)), attempt_tag="1.1", before_publish=refuse
    )
    with pytest.raises(TranscodeError, match="the lease is lost"):
        run.run()
    assert seen
    assert seen[0] > 1_000
    assert target.read_bytes() == b"somebody else's"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
