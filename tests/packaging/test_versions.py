"""The three members are released together and say so in every place that names a version."""

import importlib.metadata
import re
import tomllib

import pytest

from tests.architecture.source import MEMBERS, ROOT


def manifest(member: str) -> dict[str, object]:
    with (ROOT / member / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert isinstance(project, dict)
    return project


with (ROOT / "pyproject.toml").open("rb") as root_file:
    VERSION = tomllib.load(root_file)["project"]["version"]


@pytest.mark.parametrize("member", MEMBERS)
def test_every_member_has_the_version_of_the_workspace(member: str) -> None:
    assert manifest(member)["version"] == VERSION
    assert importlib.metadata.version(member.replace("_", "-")) == VERSION, "stale install: run make again"


@pytest.mark.parametrize("member", MEMBERS)
def test_packages_tell_the_same_version(member: str) -> None:
    text = (ROOT / member / "src" / member / "__init__.py").read_text(encoding="utf-8")
    told = re.search(r'^__version__(?:: \w+)? = "(.+)"', text, re.MULTILINE)
    if told is None and member == "dispatch_core":
        pytest.skip("the core tells no version of its own")
    assert told is not None
    assert told[1] == VERSION


@pytest.mark.parametrize(
    ("member", "needs"), [("dispatch_http", "dispatch-core"), ("dispatch_cli", "dispatch-http")]
)
def test_members_pin_each_other(member: str, needs: str) -> None:
    dependencies = manifest(member)["dependencies"]
    assert isinstance(dependencies, list)
    pins = [each for each in dependencies if re.match(rf"{needs}\b", each)]
    assert len(pins) == 1
    assert pins[0].endswith(f"=={VERSION}")


@pytest.mark.parametrize("member", MEMBERS)
def test_members_support_the_same_pythons(member: str) -> None:
    assert manifest(member)["requires-python"] == ">=3.11"
