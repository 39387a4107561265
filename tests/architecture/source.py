"""The source of the three members, read as text and as syntax trees."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = ("dispatch_core", "dispatch_http", "dispatch_cli")


@frozen
class Seen:
    """What one look at a syntax tree tells."""

    docstring: str
    functions: Sequence[tuple[str, int]]
    imports: Sequence[tuple[int, str]]


@frozen(slots=False)
class Module:
    """One file of a member, by its dotted name."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def tree(self) -> ast.Module:
        """Parsed anew each time: the trees of all modules are a million objects, which nobody should carry about."""
        return ast.parse(self.text, filename=str(self.path))

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def docstring(self) -> str:
        return self._seen.docstring

    def functions(self) -> Sequence[tuple[str, int]]:
        """Every function with its place and its length in lines: decorators and docstring not counted."""
        return self._seen.functions

    def imports(self) -> Sequence[tuple[int, str]]:
        """Every module named by an import, wherever it stands, with its line."""
        return self._seen.imports

    @cached_property
    def _seen(self) -> Seen:
        tree = self.tree
        return Seen(ast.get_docstring(tree) or "", [*_functions(self.where, tree)], [*_imports(tree)])


def _functions(where: str, tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{where}:{node.lineno} {node.name}", _length(node)


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


def modules(*members: str) -> list[Module]:
    """The modules of the named members, of all three if none is named."""
    return [module for member in members or MEMBERS for module in _modules(member)]


@cache
def _modules(member: str) -> Sequence[Module]:
    base = ROOT / member / "src"
    found = []
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
