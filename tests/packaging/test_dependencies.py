"""A member imports what it declares: nothing reaches it by way of somebody else's dependencies."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from tests.architecture.source import MEMBERS, ROOT, Module, modules

DISTRIBUTIONS = packages_distributions()
# Import names of what need not be installed: extras that the tests do without.
NOT_INSTALLED = {"psycopg": "psycopg"}


def declared(member: str) -> set[str]:
    with (ROOT / member / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project.get("optional-dependencies", {}).values()
    named = [*project["dependencies"], *(each for extra in extras for each in extra)]
    return {re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0].lower() for requirement in named}


def foreign(module: Module) -> set[str]:
    """The distributions a module imports from, its own left out."""
    own = module.name.partition(".")[0]
    tops = {name.partition(".")[0] for _, name in module.imports()} - sys.stdlib_module_names - {own}
    return {distribution(top) for top in tops}


def distribution(top: str) -> str:
    """The normalised name of the distribution an import comes from; an editable install names no packages."""
    known = {member: member for member in MEMBERS} | NOT_INSTALLED
    name = known.get(top) or (DISTRIBUTIONS.get(top) or [f"{top} (not installed)"])[0]
    return name.lower().replace("_", "-")


@pytest.mark.checklist(74)
@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_declares_what_it_imports(member: str) -> None:
    allowed = declared(member)
    missing = {
        module.where: undeclared for module in modules(member) if (undeclared := foreign(module) - allowed)
    }
    assert not missing, f"add to {member}/pyproject.toml, then make lock: {missing}"
