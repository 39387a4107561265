"""The table of mutants stays in step with the code; running them is ``make mutants``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.run import ROOT, mutated, place
from tests.mutants.table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_has_its_place(mutant: Mutant) -> None:
    """Its old text stands exactly once in its file, the new one differs and compiles, and its tests exist."""
    text = place(mutant).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1
    compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert mutant.new != mutant.old
    assert all((ROOT / test).is_file() for test in mutant.tests)


def test_the_copy_is_what_is_mutated(tmp_path: Path) -> None:
    """The work tree stays as it is."""
    before = place(MUTANTS[0]).read_text(encoding="utf-8")
    mutated(MUTANTS[0], tmp_path)
    assert place(MUTANTS[0]).read_text(encoding="utf-8") == before
    assert MUTANTS[0].new in place(MUTANTS[0], tmp_path).read_text(encoding="utf-8")


def test_names_are_told_apart() -> None:
    """One name, one mutant; at least a dozen of them."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12
