"""The distributions build, hold what they should, and the core alone installs with exactly what it may need."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.architecture.source import MEMBERS, ROOT, modules

pytestmark = [pytest.mark.packaging, pytest.mark.xdist_group("packaging")]

UV = ROOT / ".tools" / "bin" / "uv"
CORE_ALONE = {"dispatch-core", "attrs", "cattrs", "sortedcontainers", "typing-extensions"}


def uv(*arguments: str | Path) -> str:
    environment = {
        key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}
    }
    run = subprocess.run(
        [UV, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"uv {arguments[0]} failed:\n{run.stderr}"
    return run.stdout


def build(destination: Path) -> dict[str, tuple[Path, Path]]:
    """The wheel and the sdist of each member."""
    for member in MEMBERS:
        uv("build", "-q", "--wheel", "--sdist", "--out-dir", destination, ROOT / member)
    wheels = {path.name.split("-")[0]: path for path in destination.glob("*.whl")}
    sdists = {path.name.split("-")[0]: path for path in destination.glob("*.tar.gz")}
    return {member: (wheels[member], sdists[member]) for member in MEMBERS}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    if not UV.exists():
        pytest.skip("needs the uv that make installs")
    return build(tmp_path_factory.mktemp("dist"))


@pytest.mark.checklist(76)
@pytest.mark.parametrize("member", MEMBERS)
def test_a_wheel_holds_every_module_and_the_type_marker(
    member: str, distributions: dict[str, tuple[Path, Path]]
) -> None:
    base = ROOT / member / "src"
    expected = {str(module.path.relative_to(base)) for module in modules(member)} | {f"{member}/py.typed"}
    with zipfile.ZipFile(distributions[member][0]) as wheel:
        assert expected <= set(wheel.namelist())
        assert not [name for name in wheel.namelist() if name.startswith(("src/", "tests/"))]


@pytest.mark.checklist(76)
@pytest.mark.parametrize("member", MEMBERS)
def test_an_sdist_holds_what_builds_the_wheel(
    member: str, distributions: dict[str, tuple[Path, Path]]
) -> None:
    with tarfile.open(distributions[member][1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", f"src/{member}/__init__.py", f"src/{member}/py.typed"} <= names


def test_a_build_is_reproducible(distributions: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    again = build(tmp_path)
    for member in MEMBERS:
        for first, second in zip(distributions[member], again[member], strict=True):
            assert first.read_bytes() == second.read_bytes(), first.name


def test_the_core_alone_installs_with_three_packages(
    distributions: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    uv("venv", "-q", "--python", sys.executable, tmp_path / "venv")
    install(python, distributions["dispatch_core"][0])
    listed = uv("pip", "list", "-q", "--format", "freeze", "--python", python)
    installed = {line.partition("==")[0].partition(" @")[0].lower() for line in listed.splitlines()}
    assert {"dispatch-core", "attrs", "cattrs", "sortedcontainers"} <= installed <= CORE_ALONE
    subprocess.run([python, "-I", "-W", "error", "-c", "import dispatch_core"], check=True)


ASKS_FOR_NOTHING = """
import sys

def test_of_somebody_else():
    assert not [name for name in sys.modules if name.split(".")[0] in ("dispatch_core", "attrs", "hypothesis")]
"""
ASKS_FOR_A_FLEET = """
import sys

def test_of_an_embedder(fleet):
    fleet.engine("gpu", codec=("h264",))
    job = fleet.submit(parameters={"source": "a.mov", "target": "a.mp4"})
    assert fleet.drain() == []
    fleet.assert_assigned(job, "gpu")
    assert "dispatch_core" in sys.modules
    assert not {"hypothesis", "sqlalchemy"} & set(sys.modules)
"""


def test_the_pytest_plugin_is_found_and_costs_nothing_unused(
    distributions: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    """Installed as a wheel, the fixture is there; a suite that does not use it does not even import the library."""
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    uv("venv", "-q", "--python", sys.executable, tmp_path / "venv")
    install(python, f"dispatch-core[testing] @ {distributions['dispatch_core'][0].as_uri()}", "test.lock")
    for name, text in {"nothing": ASKS_FOR_NOTHING, "fleet": ASKS_FOR_A_FLEET}.items():
        path = tmp_path / f"test_{name}.py"
        path.write_text(text, encoding="utf-8")
        options = ["-I", "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        run = subprocess.run(
            [python, *options, path], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr


def install(python: Path, what: Path | str, locked: str = "run.lock") -> None:
    """At the locked versions, which `make` has just fetched: from the cache if they are still there."""
    arguments = ("pip", "install", "-q", "--python", python, "-c", ROOT / "requirements" / locked, what)
    try:
        uv(*arguments, "--offline")
    except AssertionError:
        uv(*arguments)
