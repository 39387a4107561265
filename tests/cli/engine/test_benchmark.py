"""The speed of an engine is measured per task class, in bounded time."""

from collections.abc import Collection
from pathlib import Path

import pytest

from dispatch_cli.engine.benchmark import DEFAULT_CELLS, run_benchmark
from dispatch_cli.engine.encoders import Coder


def test_every_default_cell_is_measured(ffmpeg: Path, coders: Collection[Coder]) -> None:
    """Each names its task class, encoder and ffmpeg, and its two rates are inverse."""
    report = run_benchmark(ffmpeg, budget_s=3.0, coders=coders)
    assert [cell.task_class for cell in report.cells] == [
        f"{codec}/{size}/encode" for codec, size in DEFAULT_CELLS
    ]
    assert report.left_out == {}
    assert {cell.encoder for cell in report.cells} <= {coder.name for coder in coders}
    for cell in report.cells:
        assert cell.media_seconds_per_second > 0
        assert cell.seconds_per_unit * cell.media_seconds_per_second == pytest.approx(1)
        assert (cell.width, cell.height) == (640, 360)
        assert cell.ffmpeg[0].isdigit()


def test_a_cell_that_fails_is_left_out_with_its_reason(ffmpeg: Path, coders: Collection[Coder]) -> None:
    """An unknown codec or size costs its own cell only."""
    cells = (("h266b", "360p"), ("mpeg4", "361p"), ("mpeg4", "360p"))
    report = run_benchmark(ffmpeg, budget_s=1.0, cells=cells, coders=coders)
    assert [cell.task_class for cell in report.cells] == ["mpeg4/360p/encode"]
    assert report.left_out["h266b/360p/encode"] == "this ffmpeg has no usable encoder for codec 'h266b'"
    assert "unknown resolution" in report.left_out["mpeg4/361p/encode"]


def test_without_time_nothing_is_measured(ffmpeg: Path, coders: Collection[Coder]) -> None:
    """Cells the budget did not reach say so."""
    report = run_benchmark(ffmpeg, budget_s=0.0, coders=coders)
    assert list(report.cells) == []
    assert set(report.left_out.values()) == {"the time for the benchmark was used up"}


def test_a_slow_engine_is_measured_by_what_it_managed(tmp_path: Path) -> None:
    """When time runs out, the media encoded so far counts; nothing encoded is no measurement."""
    slow = "echo out_time_us=250000; echo progress=continue; exec sleep 60"
    report = run_benchmark(_stub(tmp_path, slow), budget_s=0.5, cells=[("h264", "2160p")])
    assert [(cell.complete, cell.media_s) for cell in report.cells] == [(False, 0.25)]
    report = run_benchmark(_stub(tmp_path, "exec sleep 60"), budget_s=0.5, cells=[("h264", "2160p")])
    assert "not one frame" in report.left_out["h264/2160p/encode"]


def test_an_encoder_that_crashes_is_left_out(tmp_path: Path) -> None:
    """The reason names the signal."""
    report = run_benchmark(_stub(tmp_path, "kill -ILL $$"), budget_s=1.0, cells=[("h264", "360p")])
    assert report.left_out == {"h264/360p/encode": "ffmpeg was killed by SIGILL"}


def _stub(folder: Path, encode: str) -> Path:
    path = folder / "ffmpeg"
    path.write_text(
        f"""#!/bin/sh
case "$*" in
  *-version*) echo 'ffmpeg version 7.1 Copyright (c)' ;;
  *-encoders*) echo ' V....D libx264              H.264 (codec h264)' ;;
  *) {encode} ;;
esac
"""
    )
    path.chmod(0o755)
    return path
