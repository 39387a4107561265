"""What an operator reads in the page about recovery is what the program says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "recover.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("| the message |")[2].partition("\n\n")[0]
MESSAGES = sorted(
    {each for row in TABLE.splitlines() for each in re.findall(r"`([^`]+)`", row.split("|")[1])}
)
# Literals that stand on two lines of the source are one text to the reader.
JOINED = re.compile(r'"\s*\n\s*f?"')
SOURCE = "\n".join(
    JOINED.sub("", path.read_text(encoding="utf-8"))
    for member in ("dispatch_core", "dispatch_http", "dispatch_cli")
    for path in sorted((ROOT / member / "src").rglob("*.py"))
)
NAMES = re.compile(r"-wal|\.lock")  # the source takes these from the path
REFUSALS = ("storage/sql/sqlite_file.py", "storage/sql/lockfile.py")


def pieces(message: str) -> list[str]:
    """What a message says, names of files and numbers left out."""
    found = [each.strip(" ()") for each in NAMES.sub("", message).split("…")]
    return [each for each in found if each]


@pytest.mark.parametrize("message", [each for each in MESSAGES if "Invalid options" not in each])
def test_a_message_in_the_page_is_one_of_the_program(message: str) -> None:
    assert all(piece in SOURCE for piece in pieces(message))


@pytest.mark.parametrize("file", REFUSALS)
def test_every_refusal_of_a_database_is_in_the_page(file: str) -> None:
    source = JOINED.sub("", (ROOT / "dispatch_core/src/dispatch_core" / file).read_text(encoding="utf-8"))
    texts = re.findall(r'raise S\w+Error\(\s*f"(.*)"', source)
    assert texts
    for text in texts:
        assert any(all(piece in text for piece in pieces(message)) for message in MESSAGES), text
