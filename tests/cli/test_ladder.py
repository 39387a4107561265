"""`--fall-back`: a wish that becomes looser while nobody takes the job."""

import json
from datetime import UTC, datetime

import pytest

from dispatch_cli.ladder_steps import parse_step
from dispatch_cli.render.jobs import show_job
from dispatch_core import Dispatcher, JobSpec, LadderStep, ManualClock
from dispatch_core.forms import job_form
from dispatch_core.storage import MemoryStorage
from tests.cli.program import Program

STEPS = ("--fall-back", "10m any", "--fall-back", "30m encoder=libx264; crf=23")


@pytest.mark.checklist(95)
def test_steps_reach_the_job(dispatch: Program) -> None:
    """Durations are seconds, words are the wish; show tells the step and when the next one comes."""
    options = ("--encoder", "libx265", "--require", "tag has gpu")
    job = dispatch.json("submit", "/in/a.mov", "/out/a.mp4", *options, *STEPS)
    assert job["ladder"] == [
        {"after_s": 600.0, "requirements": []},
        {"after_s": 1800.0, "parameters": {"encoder": "libx264", "crf": 23}},
    ]
    shown = dispatch("jobs", "show", job["id"]).stdout
    assert "step" in shown
    assert "0 of 2" in shown
    assert "falls back at" in shown
    assert "step 1 of 2 of its ladder" in dispatch("jobs", "explain", job["id"]).stdout


def test_edit_replaces_and_clears_the_ladder(dispatch: Program) -> None:
    """The steps of an edit are the new ladder; --clear ladder ends it."""
    job = dispatch.json("submit", "/in/a.mov", "/out/a.mp4", *STEPS)
    edited = dispatch.json("jobs", "edit", job["id"], "--fall-back", "1h require ffmpeg >= 6; codec=hevc")
    assert edited["ladder"] == [
        {"after_s": 3600.0, "requirements": ["ffmpeg >= 6"], "parameters": {"codec": "hevc"}}
    ]
    assert dispatch.json("jobs", "edit", job["id"], "--clear", "ladder")["ladder"] == []
    assert "falls back at" not in dispatch("jobs", "show", job["id"]).stdout


def test_a_line_of_a_file_may_have_a_ladder(dispatch: Program) -> None:
    """In JSON it is written as over HTTP; what is wrong in a step is named with its place."""
    form = {"parameters": {"source": "/a", "target": "/b"}, "ladder": [{"after_s": 60, "requirements": []}]}
    job = dispatch.json("submit", "--file", "-", stdin=json.dumps(form))
    assert job["ladder"] == [{"after_s": 60.0, "requirements": []}]
    form["ladder"] = [{"after_s": 60, "parameters": {"crf": 99}}]
    told = dispatch("submit", "--file", "-", stdin=json.dumps(form), exit_code=5)
    assert "/ladder/0/parameters/crf" in told.output


def test_show_tells_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """After a fall the detail has the step in force, and the wish as it was at first."""
    clock = ManualClock()
    with Dispatcher(MemoryStorage(clock)) as dispatcher:
        dispatcher.tick()
        clock.advance(31)
        step = LadderStep(after_s=5, requirements=())
        job = dispatcher.submit(
            JobSpec(parameters={"source": "a", "target": "b"}, requirements=("tag has gpu",), ladder=(step,))
        )
        clock.advance(5)
        dispatcher.tick()
        show_job(job_form(dispatcher.job(job.id)), [], datetime.now(UTC))
    told = capsys.readouterr().out
    assert "pending (fell back)" in told
    assert "1 of 1" in told
    assert "tag has gpu; source=a, target=b" in told


@pytest.mark.parametrize(
    "text", ["", "soon any", "10m", "10m ;", "10m require ", "10m codec", "10m any codec"]
)
def test_what_is_no_step_is_refused(program: Program, text: str) -> None:
    """Before anything is sent, with an example of what to write."""
    with pytest.raises(ValueError, match=r"such as|for example"):
        parse_step(text)
    program("submit", "/in/a.mov", "/out/a.mp4", "--fall-back", text, exit_code=2)
