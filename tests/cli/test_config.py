"""`dispatch config explain`: where each setting comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatch_cli.serve_settings import load
from dispatch_core import FlowPolicy
from tests.cli.program import Program

KEY = "a-good-key-of-some-length"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """A file, variables and flags that say different things; the command line."""
    path = tmp_path / "dispatch.toml"
    path.write_text('port = 1\nthreads = 11\ndatabase = "postgresql://me:hunter2222@db/jobs"\n')
    monkeypatch.setenv("DISPATCH_THREADS", "22")
    monkeypatch.setenv("DISPATCH_PAGE_MAX", "33")
    monkeypatch.setenv("DISPATCH_PROT", "44")
    monkeypatch.setenv("DISPATCH_API_KEY", KEY)
    return ("config", "explain", "--config", str(path), "--port", "55", "--log-format", "json")


@pytest.mark.checklist(52)
@pytest.mark.checklist(55)
def test_every_setting_has_its_source(program: Program, told: tuple[str, ...]) -> None:
    """The last that named it: default, file, environment or flag; and where that was said."""
    form = program.json(*told)
    rows = {row["name"]: (row["value"], row["source"], row["place"]) for row in form["settings"]}
    assert rows["port"] == (55, "flag", "--port")
    assert rows["threads"] == (22, "environment", "DISPATCH_THREADS")
    assert rows["page_max"] == (33, "environment", "DISPATCH_PAGE_MAX")
    assert rows["database"][1:] == ("file", told[3])
    assert rows["host"] == ("127.0.0.1", "default", "")
    assert rows["log_json"][1:] == ("flag", "--log-format")
    assert form["key_in_environment"] is True


@pytest.mark.checklist(54)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_secrets_are_not_shown(program: Program, told: tuple[str, ...], form: tuple[str, ...]) -> None:
    """Neither the key of the environment nor the password of the database."""
    shown = program(*told, *form).output
    assert KEY not in shown
    assert "hunter2222" not in shown
    assert "postgresql://me:***@db/jobs" in shown


def test_a_variable_that_means_nothing_is_warned_about(
    program: Program, told: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the one that was meant, if there is a near one; its value stays unsaid."""
    assert program.json(*told)["warnings"] == ["DISPATCH_PROT is not a setting; did you mean DISPATCH_PORT?"]
    monkeypatch.setenv("DISPATCH_API_KEY", KEY)
    assert "DISPATCH_PROT is not a setting" in program(*told).stderr


def test_an_unfit_setting_is_refused_as_by_the_server(program: Program) -> None:
    """It explains what would be in force, and nothing would."""
    program("config", "explain", "--port", "70000", exit_code=2)


def test_the_dials_of_the_policy_reach_the_dispatcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment to the policy that a server's dispatcher uses; shares have a colon between two."""
    for name, value in (("CAP_S", "600"), ("STEP_S", "60"), ("KAPPA", "7")):
        monkeypatch.setenv(f"DISPATCH_PRIORITY_{name}", value)
    monkeypatch.setenv("DISPATCH_ACCOUNT_SHARES", "studio=2.5:archive=0.5")
    core = load({}).core
    assert core.flow_policy == FlowPolicy(kappa=7.0, cap_s=600.0, step_s=60.0)
    assert core.shares == {"studio": 2.5, "archive": 0.5}
