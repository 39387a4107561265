"""Where media lie is checked as data: what would lead a reader somewhere else is refused when it is submitted."""

from __future__ import annotations

import pytest

from dispatch_core import InvalidCommandError, TranscodeParameters
from dispatch_core.forms import parse
from tests.core.house import PARAMETERS

FINE = [
    "in.mp4", "/films/a b.mov", "C:/films/a.mov", "file:///films/a.mp4", "file://localhost/a.mp4", "http://nas/a.mp4",
    "https://media.example.org:8443/a%20b.mp4?x=1#t", "http://127.0.0.1:9000/a", "http://[::1]/a", "a:b.mp4",
]  # fmt: skip
UNFIT = {
    "ftp://nas/a": "must be a path or a URL of file, http, https, not ftp",
    "javascript://x": "not javascript",
    "http://user:secret@nas/a": "must not carry a user name or password",
    "http://evil.example\\@127.0.0.1/a": "backslashes",
    "http://127.1/a": "plain address",
    "http://0x7f000001/a": "plain address",
    "http://2130706433/a": "plain address",
    "http://017700000001/a": "plain address",
    "http://\u2460\u2461\u2466.0.0.1/a": "plain address",
    "http://ex%61mple.org/a": "plain address",
    "http:///a": "plain address",
    "http://nas:99999/a": "is not a URL",
    "http://[::1/a": "is not a URL",
    "file://elsewhere/a": "must name this machine",
    "http://nas/a\r\nX: y": "control characters",
    "a\x00b": "NUL",
}


@pytest.mark.checklist(31)
@pytest.mark.parametrize("location", FINE)
def test_paths_and_plain_urls_are_fine(location: str) -> None:
    """A source or target is a path or an ordinary URL."""
    assert parse(TranscodeParameters, {"source": location, "target": location}).source == location


@pytest.mark.checklist(31)
@pytest.mark.parametrize("location", UNFIT)
@pytest.mark.parametrize("field", ["source", "target"])
def test_what_leads_astray_is_refused_by_its_field(field: str, location: str) -> None:
    """Other schemes, credentials, disguised addresses and control characters."""
    with pytest.raises(InvalidCommandError) as refusal:
        parse(TranscodeParameters, {**PARAMETERS, field: location})
    (problem,) = refusal.value.problems
    assert problem.path == f"/{field}"
    assert UNFIT[location] in problem.message
