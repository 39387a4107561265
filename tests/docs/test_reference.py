"""The reference says what the code says."""

from __future__ import annotations

import pytest

from docs.generate import FOLDER, PAGES, generated, section

FRESH = generated()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_what_the_code_gives_now(name: str) -> None:
    kept = (FOLDER / name).read_text(encoding="utf-8")
    assert kept == FRESH[name], "run `make reference` and commit what it writes"


def test_there_are_no_other_pages() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


def test_words_for_something_unknown_are_refused() -> None:
    with pytest.raises(SystemExit, match="restore"):
        section("verbs", ["grant"])
