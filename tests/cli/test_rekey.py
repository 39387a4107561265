"""`dispatch rekey`, and the mode of a server."""

from __future__ import annotations

from tests.cli.program import Program


def test_jobs_are_placed_anew_on_both_targets(dispatch: Program) -> None:
    """All that wait are looked at; those that are where they belong do not move."""
    assert dispatch("rekey").stdout == "0 jobs looked at, 0 moved\n"
    for _ in range(3):
        dispatch("submit", "/in/a.mov", "/out/a.mp4")
    assert dispatch.json("rekey") == {"looked": 3, "moved": 0}


def test_a_mode_is_one_of_four(dispatch: Program) -> None:
    """A setting of the server, by a flag or its file."""
    assert 'mode = "fifo"' in dispatch("serve", "--mode", "fifo", "--print-settings").stdout
    dispatch("serve", "--mode", "random", "--print-settings", exit_code=2)
