"""The page of the API: readable without a network, and unable to do anything but ask this server."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from falcon.testing import TestClient

from docs.generate import OPENAPI

VOID = {"meta", "input", "link", "br"}


class Reader(HTMLParser):
    """Collects what a page holds; fails if a tag is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.inline: dict[str, str] = {}
        self.text = ""
        self.forms: set[tuple[str, str]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        assert not any(name.startswith("on") or name == "style" for name in found), found
        self.ids |= {found["id"]} if "id" in found else set()
        self.links |= {found[name] for name in ("href", "src", "action") if name in found}
        if tag == "form":
            self.forms.add((found["data-method"], found["data-path"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.inline[self.open[-1]] = data
        else:
            self.text += data


@pytest.fixture
def page(client: TestClient) -> Reader:
    """The page, read to its end."""
    answer = client.simulate_get("/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    reader = Reader()
    reader.feed(answer.content.decode("utf-8"))
    assert reader.open == []
    return reader


@pytest.mark.checklist(90)
def test_the_page_shows_every_operation_and_schema(page: Reader) -> None:
    """Each with a form to try it, and every link inside leads somewhere."""
    document = json.loads(OPENAPI.read_bytes())
    assert page.forms == {
        (method.upper(), path)
        for path, said in document["paths"].items()
        for method in said.keys() - {"parameters", "head"}
    }
    assert document["components"]["schemas"].keys() <= page.ids
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= page.ids


def test_the_page_loads_nothing(page: Reader) -> None:
    """It is whole: no address in it leads to another place than this server."""
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}
    assert not re.search(r"@import|url\(|https?://", page.inline["style"] + page.inline["script"])


def test_the_browser_may_run_what_is_in_the_page_and_nothing_else(client: TestClient, page: Reader) -> None:
    """The policy names the digests of the one style and the one script."""
    policy = client.simulate_get("/docs").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for word in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.inline[word].encode()).digest()).decode()
        assert f"{word}-src 'sha256-{digest}';" in policy


def test_the_page_is_small(client: TestClient) -> None:
    """A third of what the smallest library that would draw it takes alone."""
    assert len(client.simulate_get("/docs").content) < 400_000
