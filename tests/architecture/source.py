"""The source of the three members, read as text and as syntax trees."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = ("dispatch_core", "dispatch_http", "dispatch_cli")


@frozen(slots=False)
class Module:
    """One file of a member, by its dotted name."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    def functions(self) -> Iterator[tuple[str, int]]:
        """Every function with its place and its length in lines: decorators and docstring not counted."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{self.where}:{node.lineno} {node.name}", _length(node)

    def imports(self) -> Iterator[tuple[int, str]]:
        """Every module named by an import, wherever it stands, with its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.lineno, node.module or ""


def modules(*members: str) -> list[Module]:
    """The modules of the named members, of all three if none is named."""
    found = []
    for member in members or MEMBERS:
        base = ROOT / member / "src"
        for path in sorted((base / member).rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            found.append(Module(".".join(parts).removesuffix(".__init__"), path))
    return found


def repository_files() -> list[Path]:
    """Files that are tracked or are about to be; all but the installed ones outside a git checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout.split("\0")  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        generated = {".git", ".venv", ".tools", "node_modules", "__pycache__"}
        return [
            path
            for path in ROOT.rglob("*")
            if path.is_file() and not generated & set(path.relative_to(ROOT).parts)
        ]
    return [path for name in listed if name and (path := ROOT / name).is_file()]


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    last = function.end_lineno or function.lineno
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
    return last - function.lineno + 1 - docstring
