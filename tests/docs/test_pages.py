"""Every `python` block in the documentation is an example that runs; the blocks of a page share their names.

A block that begins with a file's name, as in `# test_it.py`, is that file: pytest runs the files of a page together.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

DOCS = Path(__file__).parents[2] / "docs"
FILE = re.compile(r"# (\w+\.py)\n")
FILES = "the files of this page"


class RunOrKeep(PythonEvaluator):
    """Runs a block, or keeps it as a file."""

    def __call__(self, example: Example) -> None:
        named = FILE.match(example.parsed)
        if named is None:
            super().__call__(example)
        else:
            example.namespace.setdefault(FILES, {})[named[1]] = example.parsed


BLOCKS = CodeBlockParser(language="python", evaluator=RunOrKeep())
SYBIL = Sybil(parsers=[BLOCKS, SkipParser()], path=str(DOCS), patterns=["**/*.md"])
PAGES = sorted(path for path in DOCS.rglob("*.md") if "```python" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_example_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """A reader who types the blocks from the top meets no error, and no test of theirs fails or is left out."""
    document = SYBIL.parse(page)
    for example in document.examples():
        example.evaluate()
    files = document.namespace.get(FILES, {})
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    if files:
        command = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            ".",
        ]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        tests = {name for name in files if name.startswith("test_")}
        assert tests == set(re.findall(r"(test_\w+\.py)::\S+ PASSED", run.stdout))
