"""Applies each mutant to a copy of the code and runs the tests that must notice: ``make mutants``.

The work tree is never touched. Words on the command line choose mutants by name. Ends with 1 if one survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.mutants.table import MUTANTS, Mutant  # noqa: E402  # after the path is set

MEMBERS = ("dispatch_core", "dispatch_http", "dispatch_cli")
LIMIT_S = 180.0


def place(mutant: Mutant, folder: Path = ROOT) -> Path:
    """Where the file of a mutant is, in a work tree or a copy of its members."""
    return folder / mutant.file.partition("/")[0] / "src" / mutant.file


def mutated(mutant: Mutant, folder: Path) -> None:
    """A copy of the members with the mistake in it. Raises ValueError if its place is not found exactly once."""
    for member in MEMBERS:
        shutil.copytree(
            ROOT / member / "src", folder / member / "src", ignore=shutil.ignore_patterns("__pycache__")
        )
    path = place(mutant, folder)
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: its text occurs {text.count(mutant.old)} times in {mutant.file}")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")


def verdict(mutant: Mutant) -> tuple[str, float]:
    """``caught``, ``survived`` or what else happened, and how long it took."""
    began = monotonic()
    with tempfile.TemporaryDirectory(prefix="dispatch-mutant-") as folder:
        try:
            mutated(mutant, Path(folder))
        except ValueError as error:
            return str(error), 0.0
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(Path(folder, member, "src")) for member in MEMBERS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DISPATCH_TEST_PROFILE": "mutants",
            "DISPATCH_TEST_NO_SHRINK": "1",
        }
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "tests.mutants.quick",
            "-p",
            "no:cacheprovider",
        ]
        try:
            run = subprocess.run(
                [*command, "--timeout", "40", "--tb", "line", *mutant.tests],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "caught (it hangs)", monotonic() - began
    words = {0: "SURVIVED", 1: "caught"}
    return words.get(run.returncode, f"broken: {run.stdout[-300:]}{run.stderr[-300:]}"), monotonic() - began


def main(words: list[str]) -> int:
    """Run them all, or those whose name holds one of the words; how many were not caught."""
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    missed = 0
    with ThreadPoolExecutor(int(os.environ.get("JOBS", "2")) or 1) as pool:
        for mutant, (found, seconds) in zip(chosen, pool.map(verdict, chosen), strict=True):
            missed += not found.startswith("caught")
            print(f"{mutant.name:45} {found:20} {seconds:5.1f} s", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} caught")
    return min(missed, 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
