"""`dispatch limits …`."""

from __future__ import annotations

from tests.cli.program import Program


def test_limits_live_on_both_targets(dispatch: Program) -> None:
    """Set, listed, named by a job, set anew as a whole, and removed."""
    assert (
        dispatch("limits", "set", "licence-x", "--at-once", "2", "--note", "two seats").stdout
        == "licence-x: set\n"
    )
    form = dispatch.json("limits", "set", "api", "--per-second", "0.5", "--burst", "4", "--per", "engine")
    assert (form["rate_per_s"], form["burst"], form["per"], form["capacity"]) == (0.5, 4, "engine", None)
    heading, api, licence = dispatch("limits", "list").stdout.splitlines()
    assert heading.split()[:3] == ["KEY", "IN", "USE"]
    assert api.split() == ["api", "0", "0.5", "4", "engine"]
    assert licence.split() == ["licence-x", "0", "2", "fleet", "two", "seats"]
    job = dispatch.json("submit", "/in/a.mov", "/out/a.mp4", "--limit", "licence-x", "--limit", "io=3")
    assert job["limits"] == [{"key": "io", "units": 3}, {"key": "licence-x", "units": 1}]
    assert "io (3), licence-x (1)" in dispatch("jobs", "show", job["id"]).stdout
    assert dispatch.json("jobs", "edit", job["id"], "--clear", "limits")["limits"] == []
    assert dispatch.json("limits", "set", "licence-x", "--at-once", "3")["note"] == ""
    assert dispatch("limits", "remove", "licence-x", "api").stdout == "licence-x: removed\napi: removed\n"
    assert dispatch("limits", "list").stdout == "No limits.\n"


def test_what_is_wrong_with_a_limit_is_said(dispatch: Program) -> None:
    """An unknown one is not found, one that limits nothing is refused, units that are none are a usage error."""
    dispatch("limits", "remove", "licence-x", exit_code=3)
    assert "limits nothing" in dispatch("limits", "set", "licence-x", exit_code=5).stderr
    wrong = dispatch("submit", "/in/a.mov", "/out/a.mp4", "--limit", "io=lots", exit_code=2)
    assert "such as io=2" in wrong.stderr
