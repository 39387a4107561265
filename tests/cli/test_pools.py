"""`dispatch pools …`."""

from __future__ import annotations

import pytest

from tests.cli.program import Program


@pytest.mark.checklist(29)
def test_pools_live_on_both_targets(dispatch: Program) -> None:
    """Added with sizes in units, listed, shown, edited, named by a job, and removed."""
    added = dispatch(
        "pools", "add", "nas", "--capacity", "80TB", "--keep-free", "2TB", "--place", "nfs://nas"
    )
    assert added.stdout == "nas: added\n"
    form = dispatch.json("pools", "edit", "nas", "--used", "1.5TB", "--if-version", "1")
    assert (form["used_bytes"], form["free_bytes"]) == (1_500_000_000_000, 76_500_000_000_000)
    heading, row = dispatch("pools", "list").stdout.splitlines()
    assert heading.split()[:3] == ["ID", "CAPACITY", "USED"]
    for part in ("nas", "80 TB", "1.5 TB", "2 TB", "76.5 TB", "nfs://nas"):
        assert part in row
    assert "76.5 TB" in dispatch("pools", "show", "nas").stdout
    job = dispatch.json("submit", "/in/a.mov", "/out/a.mp4", "--pool", "nas")
    assert "nas" in dispatch("jobs", "show", job["id"]).stdout
    assert dispatch.json("jobs", "edit", job["id"], "--clear", "pool")["pool"] is None
    assert dispatch("pools", "remove", "nas").stdout == "nas: removed\n"
    assert dispatch("pools", "list").stdout == "No pools.\n"


def test_what_is_wrong_with_a_pool_is_said(dispatch: Program) -> None:
    """An unknown pool is not found, a taken id is refused, a size that is none is a usage error."""
    dispatch("pools", "show", "nas", exit_code=3)
    dispatch("pools", "remove", "nas", exit_code=3)
    dispatch("pools", "add", "nas", "--capacity", "1GB")
    dispatch("pools", "add", "nas", "--capacity", "1GB", exit_code=4)
    assert "such as 500MB" in dispatch("pools", "edit", "nas", "--used", "lots", exit_code=2).stderr
    dispatch("pools", "edit", "nas", exit_code=2)
