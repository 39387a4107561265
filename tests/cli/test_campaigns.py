"""`dispatch campaigns …`, and campaigns and modes in the commands for jobs."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.program import Program

Submit = Callable[..., str]


def test_a_campaign_is_submitted_listed_and_followed(dispatch: Program, submit: Submit) -> None:
    """On both targets: the name at submit, as a filter, and its progress in words and as JSON."""
    name = "Filme 2030: été"
    ids = [submit("--campaign", name, "--mode", "fifo") for _ in range(2)]
    submit("--campaign", "other")
    page = dispatch.json("jobs", "list", "--campaign", name)
    assert sorted(job["id"] for job in page["jobs"]) == sorted(ids)
    assert {(job["campaign"], job["mode"]) for job in page["jobs"]} == {(name, "fifo")}
    dispatch("jobs", "cancel", ids[0])
    told = dispatch.json("campaigns", "show", name)
    assert (told["count"], told["open"], told["jobs"]["cancelled"]) == (2, 1, 1)
    lines = {line.split("  ")[0]: line for line in dispatch("campaigns", "show", name).stdout.splitlines()}
    assert "1 of 2 (50 %)" in lines["ended"]
    assert "pending 1, cancelled 1" in lines["jobs"]
    assert "there is no campaign" in dispatch("campaigns", "show", "none", exit_code=3).stderr


def test_a_mode_is_shown_changed_and_cleared(dispatch: Program, submit: Submit) -> None:
    """A mode that is none of a job's is a usage error that lists those that are."""
    job_id = submit("--mode", "makespan")
    assert "makespan" in dispatch("jobs", "show", job_id).stdout
    assert "by its own mode, makespan" in dispatch("jobs", "explain", job_id).stdout
    assert dispatch.json("jobs", "edit", job_id, "--mode", "fifo")["mode"] == "fifo"
    assert dispatch.json("jobs", "edit", job_id, "--clear", "mode")["mode"] is None
    assert "by its own mode" not in dispatch("jobs", "explain", job_id).stdout
    wrong = dispatch("submit", "/in/a.mov", "/out/a.mp4", "--mode", "strict-bands", exit_code=2)
    assert "'flow', 'makespan', 'fifo'" in wrong.stderr
