"""`dispatch keys …`, on a database and through a server."""

from __future__ import annotations

import re

import pytest

from dispatch_cli.local_target import LocalTarget
from dispatch_http.server import Server
from tests.cli.program import Program

pytestmark = pytest.mark.checklist(81)


def test_a_key_is_told_once_and_alone(local: Program) -> None:
    """Standard output is the text and nothing else, for a file; what is kept never shows it again."""
    done = local("keys", "create", "ci", "--scope", "submitter", "--expires", "+90d")
    assert re.fullmatch(r"dsp_key-[0-9a-z]{26}_[0-9a-z]{52}\n", done.stdout)
    assert "shown this once" in done.stderr
    assert done.stdout.strip() not in done.stderr
    (key,) = local.json("keys", "list")["keys"]
    assert (key["name"], key["scopes"], key["tenant"]) == ("ci", ["submitter"], "default")
    listed = local("keys", "list").stdout
    for part in (key["id"], "ci", "submitter", " d\n"):
        assert part in listed
    assert done.stdout[-53:-1] not in listed + str(key)


def test_keys_are_rotated_and_revoked(local: Program) -> None:
    """Each verb by its id; an unknown one is not found."""
    made = local.json("keys", "create", "rack", "--scope", "engine", "--engine-id", "rack-7", "--tenant", "b")
    assert (made["tenant"], made["engine_id"]) == ("b", "rack-7")
    rotated = local.json("keys", "rotate", made["id"], "--overlap", "1h")
    assert rotated["text"] != made["text"]
    assert rotated["former_until"] is not None
    assert local("keys", "revoke", made["id"]).stdout == f"{made['id']}: rack is revoked\n"
    assert local("keys", "list").stdout == "No keys.\n"
    assert "revoked" in local("keys", "list", "--revoked", "--tenant", "b").stdout
    for verb in ("revoke", "rotate"):
        assert "key-none" in local("keys", verb, "key-none", exit_code=3).stderr
    assert (
        "/engine_id"
        in local("keys", "create", "x", "--scope", "admin", "--engine-id", "e", exit_code=5).stderr
    )


def test_over_http_the_first_key_locks_the_door(
    remote: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From then on the program needs a key; one without the scope for it is told so."""
    boss = remote.json("keys", "create", "boss", "--scope", "admin")["text"]
    remote("jobs", "list", exit_code=6)
    monkeypatch.setenv("DISPATCH_API_KEY", boss)
    engine = remote.json("keys", "create", "rack", "--scope", "engine")
    assert [key["name"] for key in remote.json("keys", "list")["keys"]] == ["boss", "rack"]
    assert remote.json("keys", "rotate", engine["id"], "--overlap", "2m")["text"] != engine["text"]
    remote("keys", "revoke", engine["id"])
    assert len(remote.json("keys", "list", "--revoked")["keys"]) == 2
    other = remote.json("keys", "create", "ci", "--scope", "submitter")["text"]
    monkeypatch.setenv("DISPATCH_API_KEY", other)
    remote("jobs", "list")
    assert "scope admin" in remote("keys", "list", exit_code=6).stderr


def test_a_text_that_got_lost_is_not_passed_over(local: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeated creation has no text: the program says how to get one instead of printing nothing."""
    create = LocalTarget.create_key

    def twice(self: LocalTarget, form: dict[str, object], *, key: str | None = None) -> dict[str, object]:
        create(self, form, key="same")
        return create(self, form, key="same")

    monkeypatch.setattr(LocalTarget, "create_key", twice)
    failed = local("keys", "create", "boss", "--scope", "admin", exit_code=7)
    (key,) = local.json("keys", "list")["keys"]
    assert f"dispatch keys rotate {key['id']}" in failed.stderr
    assert failed.stdout == ""
