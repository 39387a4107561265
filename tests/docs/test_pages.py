"""Every `python` block in the documentation is an example that runs; the blocks of a page share their names."""

from __future__ import annotations

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

DOCS = Path(__file__).parents[2] / "docs"
SYBIL = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], path=str(DOCS), patterns=["**/*.md"])
PAGES = sorted(path for path in DOCS.rglob("*.md") if "```python" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_example_of_a_page_runs(page: Path) -> None:
    """A reader who types the blocks from the top meets no error."""
    document = SYBIL.parse(page)

    for example in document.examples():
        example.evaluate()
