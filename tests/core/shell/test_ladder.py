"""A wish with a ladder, from submit to grant: what nobody can do as it was asked for is offered in looser terms."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch_core import (
    Dispatcher,
    Edit,
    InvalidCommandError,
    JobSpec,
    JobVerdict,
    LadderStep,
    LimitExceededError,
    ManualClock,
    Settings,
)
from dispatch_core.forms import edit_from_form, explanation_form, job_form, spec_from_form
from tests.core.conftest import MakeDispatcher
from tests.core.house import PARAMETERS, claim, claimed, names, spec, start

GPU: dict[str, Any] = {"encoder": ("hevc_nvenc", "libx265"), "codec": ("hevc",), "tag": ("gpu",)}
CPU: dict[str, Any] = {"encoder": ("libx264", "libx265"), "codec": ("h264", "hevc"), "tag": ()}
OLD: dict[str, Any] = {"encoder": ("libx264",), "codec": ("h264",), "tag": ()}
LADDER = (
    LadderStep(after_s=600, requirements=()),
    LadderStep(after_s=1_800, parameters={"encoder": "libx264"}),
)


def wished(**fields: Any) -> JobSpec:
    """libx265 on a GPU; after ten minutes on any engine; after half an hour libx264."""
    parameters = {**PARAMETERS, "encoder": "libx265"}
    return spec(**{"parameters": parameters, "requirements": ("tag has gpu",), "ladder": LADDER, **fields})


def tick(dispatcher: Dispatcher, clock: ManualClock, seconds: float = 0) -> int:
    """Timers fired in one pass, the pause after a start being over."""
    clock.advance(seconds)
    dispatcher.tick()
    return dispatcher.tick().timers


def settled(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """The pause after a start is over, and engines are still heard."""
    dispatcher.tick()
    clock.advance(31)
    dispatcher.tick()


@pytest.mark.checklist(95)
def test_a_job_falls_back_until_an_engine_can_take_it(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Step by step in its own time; the engine gets the parameters in force, and history says what was loosened."""
    settled(dispatcher, clock)
    job = dispatcher.submit(wished())
    start(dispatcher, "old", facts=OLD)
    for waited, step in ((599, 0), (1, 1), (1_199, 1), (1, 2)):
        assert dispatcher.claim("old", session="s1") == []
        clock.advance(waited)
        dispatcher.tick()
        dispatcher.heartbeat("old", session="s1")
        assert dispatcher.job(job.id).step == step
    lease = claim(dispatcher, "old")
    assert lease.job.spec.parameters == {**PARAMETERS, "encoder": "libx264"}
    assert (lease.job.spec.requirements, lease.job.asked and lease.job.asked.requirements) == (
        (),
        ("tag has gpu",),
    )
    rows = [row for row in dispatcher.history(job.id) if row.event == "job-fell-back"]
    assert [row.data["step"] for row in rows] == [1, 2]
    assert rows[0].data["reason"] == "not granted within 600 s"
    assert rows[0].data["to_class"] == rows[1].data["from_class"] != rows[0].data["from_class"]
    assert rows[1].data["parameters"] == lease.job.spec.parameters
    dispatcher.complete(lease)
    assert dispatcher.job(job.id).step == 2


def test_the_first_wish_is_granted_while_it_stands(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """An engine that fits the wish gets it as asked, one that fits the next step does not; then no time runs."""
    settled(dispatcher, clock)
    job = dispatcher.submit(wished())
    start(dispatcher, "cpu", facts=CPU)
    start(dispatcher, "gpu", facts=GPU)
    assert claimed(dispatcher, "cpu") == []
    assert claimed(dispatcher, "gpu") == [job.id]
    assert tick(dispatcher, clock, 20) == 0
    assert (dispatcher.job(job.id).step, dispatcher.job(job.id).due_us) == (0, None)


def test_a_late_tick_takes_one_step(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """After a day without one, a job is a step further, however many ticks follow at once."""
    settled(dispatcher, clock)
    job = dispatcher.submit(wished())
    clock.advance(86_400)
    dispatcher.tick()  # sees the jump of a day, and lets engines speak first
    assert dispatcher.job(job.id).step == 1
    for _ in range(3):
        dispatcher.tick()
    assert dispatcher.job(job.id).step == 1


def test_a_server_that_was_down_lets_engines_claim_first(
    make_dispatcher: MakeDispatcher, clock: ManualClock
) -> None:
    """What came due while nobody ran falls only after one lease time."""
    job = make_dispatcher().submit(wished())
    clock.advance(3_600)
    later = make_dispatcher()
    later.tick()
    assert later.job(job.id).step == 0
    clock.advance(31)
    later.tick()
    assert later.job(job.id).step == 1


def test_a_requeue_begins_at_the_foot(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """A new generation asks again for what was asked for; so does the store that reads it back."""
    settled(dispatcher, clock)
    job = dispatcher.submit(wished())
    tick(dispatcher, clock, 600)
    dispatcher.cancel(job.id)
    assert dispatcher.job(job.id).step == 1
    requeued = dispatcher.requeue(job.id)
    assert (requeued.step, requeued.asked, requeued.spec.requirements) == (0, None, ("tag has gpu",))
    start(dispatcher, "cpu", facts=CPU)
    assert claimed(dispatcher, "cpu") == []


def test_a_patch_is_about_what_was_asked_for(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """It merges into the wish at the foot, where the job is then again; a note moves nothing."""
    settled(dispatcher, clock)
    job = dispatcher.submit(wished())
    tick(dispatcher, clock, 600)
    assert dispatcher.update(job.id, Edit(note="patience")).step == 1
    edited = dispatcher.update(job.id, edit_from_form({"parameters": {"crf": 20}}))
    assert (edited.step, edited.spec.requirements) == (0, ("tag has gpu",))
    assert edited.spec.parameters == {**PARAMETERS, "encoder": "libx265", "crf": 20}
    tick(dispatcher, clock, 600)
    assert dispatcher.job(job.id).spec.parameters["crf"] == 20
    ended = dispatcher.update(job.id, edit_from_form({"ladder": []}))
    assert (ended.step, ended.spec.ladder, ended.due_us) == (0, (), None)


@pytest.mark.parametrize(
    ("ladder", "pointer"),
    [
        ([{"after_s": 10, "parameters": {"crf": 99}}], "/ladder/0/parameters/crf"),
        ([{"after_s": 10, "parameters": {"source": None}}], "/ladder/0/parameters/source"),
        ([{"after_s": 10, "requirements": ["ffmpeg ~ 6"]}], "/ladder/0/requirements/0"),
        ([{"after_s": 10}], "/ladder/0"),
        ([{"after_s": 10, "requirements": []}] * 2, "/ladder/1/after_s"),
        ([{"after_s": 0, "requirements": []}], "/ladder/0/after_s"),
        ([{"after_s": n, "requirements": []} for n in range(1, 10)], "/ladder"),
        ([{"requirements": []}], "/ladder/0/after_s"),
        ([{"after_s": 10, "requirement": []}], "/ladder/0/requirement"),
    ],
)
def test_a_ladder_is_checked_when_it_comes(dispatcher: Dispatcher, ladder: list[Any], pointer: str) -> None:
    """Every step like the wish itself, with the place of what is wrong; the same for an edit."""
    job = dispatcher.submit(wished())
    form = {"parameters": dict(PARAMETERS), "ladder": ladder}
    with pytest.raises(InvalidCommandError) as refused:
        dispatcher.submit(spec_from_form(form))
    assert refused.value.problems[0].path == pointer
    with pytest.raises(InvalidCommandError) as refused:
        dispatcher.update(job.id, edit_from_form({"ladder": ladder}))
    assert refused.value.problems[0].path == pointer
    assert dispatcher.job(job.id) == job


def test_an_edit_may_not_make_a_later_step_impossible(dispatcher: Dispatcher) -> None:
    """Whatever the step in force, all of them are checked again over the edited wish."""
    step = LadderStep(after_s=5, parameters={"source": None})
    job = dispatcher.submit(wished())
    with pytest.raises(InvalidCommandError) as refused:
        dispatcher.update(job.id, Edit(ladder=(step,)))
    assert [each.path for each in refused.value.problems] == ["/ladder/0/parameters/source"]


def test_explain_tells_which_step_would_fit(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Never, as things are; but the first step that some engine could take is named, with its time."""
    settled(dispatcher, clock)
    job = dispatcher.submit(wished())
    assert (
        dispatcher.explain(job.id).unblock == "start an engine, or wait 600 s for step 1 of 2 of its ladder"
    )
    start(dispatcher, "old", facts=OLD)
    explanation = dispatcher.explain(job.id)
    assert explanation.verdict is JobVerdict.NEVER
    assert explanation.unblock.endswith("or wait 1800 s for step 2 of 2 of its ladder, which old could take")
    assert explanation_form(explanation)["fall_back"] == {
        "step": 2,
        "next_at": job_form(job)["falls_back_at"],
        "at": job_form(dispatcher.job(job.id))["falls_back_at"].replace("T00:10", "T00:30"),
        "engines": ["old"],
    }
    dispatcher.hold(job.id)
    assert dispatcher.explain(job.id).unblock == (
        "release it, or step 2 of 2 of its ladder stands still while it may not be claimed, which old could take"
    )
    assert explanation_form(dispatcher.explain(job.id))["fall_back"]["at"] is None


def test_explain_says_nothing_of_a_ladder_that_is_over(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Granted, ended or at its last step: what is left is the wish in force."""
    settled(dispatcher, clock)
    job = dispatcher.submit(wished(ladder=LADDER[:1]))
    tick(dispatcher, clock, 600)
    assert dispatcher.explain(job.id).fall_back is None
    assert dispatcher.explain(job.id).unblock == "start an engine"


def test_the_form_shows_step_and_ladder(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """What is in force, what was asked for, what comes next and when."""
    settled(dispatcher, clock)
    job = dispatcher.submit(wished())
    assert job_form(job)["asked"] is None
    tick(dispatcher, clock, 600)
    form = job_form(dispatcher.job(job.id))
    assert form["step"] == 1
    assert form["requirements"] == []
    assert form["asked"]["requirements"] == ["tag has gpu"]
    assert form["ladder"] == [
        {"after_s": 600, "requirements": []},
        {"after_s": 1_800, "parameters": {"encoder": "libx264"}},
    ]
    assert form["falls_back_at"] == form["next_timer_at"]


def test_the_classes_of_all_steps_are_counted(make_dispatcher: MakeDispatcher) -> None:
    """A ladder is no way around the bound on different requirements."""
    dispatcher = make_dispatcher(settings=Settings(classes_max=2))
    with pytest.raises(LimitExceededError):
        dispatcher.submit(wished())
    dispatcher.submit(wished(ladder=LADDER[:1]))
    assert names(dispatcher.events()) == ["job-submitted"]


def test_a_fall_waits_for_room_among_the_classes(make_dispatcher: MakeDispatcher, clock: ManualClock) -> None:
    """Jobs that fall together open no more classes than may wait; the others follow when there is room."""
    dispatcher = make_dispatcher(settings=Settings(classes_max=3))
    settled(dispatcher, clock)
    codecs = ("av1", "vp9", "hevc", "mpeg2")
    jobs = [
        dispatcher.submit(spec(ladder=(LadderStep(after_s=5, parameters={"codec": codec}),)))
        for codec in codecs
    ]

    def fallen(seconds: float) -> list[str]:
        clock.advance(seconds)
        dispatcher.tick()
        return [job.id for job in jobs if dispatcher.job(job.id).step]

    first = fallen(5)
    assert len(first) == 2
    for job_id in first:
        dispatcher.cancel(job_id)
    assert fallen(59) == first
    assert len(fallen(1)) == 4
