"""Every item of the checklist is shown by a test, stands with its reason, or is openly open."""

from __future__ import annotations

import pytest

from docs.checklist import NUMBERS, marked, words

SAID, TESTS = words(), marked()


@pytest.mark.parametrize("number", NUMBERS)
def test_an_item_is_shown_or_openly_open(number: int) -> None:
    """A number without a test fails the build; one that gained a test leaves the list of open ones."""
    shown = bool(TESTS[number]) or "note" in SAID["items"][str(number)]
    assert shown != (number in SAID["open"])


def test_every_item_has_a_title() -> None:
    """95 numbers, 95 titles."""
    assert [str(number) for number in NUMBERS] == list(SAID["items"])
