"""The repository holds what a stranger can build: no machine of ours, no registry, nothing half ignored."""

import re
import subprocess

import pytest

from tests.architecture.source import ROOT, repository_files

# Spelled with a gap so that this file does not contain what it looks for.
NEVER = {
    "an address of a package registry": [
        "py~pi.org", "python~hosted", "npm~js.", "registry.~npm", "deb.~debian", "proxy.~golang", "crates.~io",
        "conda.~anaconda", "/opt/~pypi", "/sim~ple/",
    ],
    "a path of one machine": ["/work/~main", "/work/~shared", "/work/~.lib", "../~shared", "/ro~ot/", "bash_~jobs"],
}  # fmt: skip
FORBIDDEN = {
    what: re.compile("|".join(re.escape(spelled.replace("~", "")) for spelled in spellings), re.IGNORECASE)
    for what, spellings in NEVER.items()
}
HOME = re.compile(r"(?<![\w.~-])/(?:home|Users)/(?!user/|USER/|you/|\$|<)\w+/")
FRAGMENT = re.compile(r"[a-z0-9-]+\.(added|changed|deprecated|removed|fixed|security)\.md")


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_file_names(what: str) -> None:
    found = [place for place, line in text_lines() if FORBIDDEN[what].search(line)]
    assert not found, f"{what} in {found}"


def test_no_file_names_a_home_directory() -> None:
    found = [place for place, line in text_lines() if HOME.search(line)]
    assert not found, f"somebody's home directory in {found}; write /srv/media or /home/user"


def test_no_tracked_file_is_ignored() -> None:
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        pytest.skip("not a git checkout")
    assert run.stdout == "", "a fresh clone and this folder would differ"


def test_the_documented_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for document in (ROOT / "CONTRIBUTING.md", ROOT / ".ci" / "run", *ROOT.glob("README.md")):
        named = set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
        assert named, f"{document.name} names no command"
        assert named <= targets, f"{document.name} names {named - targets}"


def test_changelog_fragments_are_well_formed() -> None:
    fragments = [path for path in (ROOT / "changes").iterdir() if path.name != "README.md"]
    bad = [
        path.name for path in fragments if not FRAGMENT.fullmatch(path.name) or not path.read_text().strip()
    ]
    assert not bad, f"name a fragment what-it-is.KIND.md and write a line in it: {bad}"


def test_every_link_between_documents_leads_somewhere() -> None:
    link = re.compile(r"\]\((?![a-z]+:|#|/)([^)#\s]+)[^)]*\)")
    broken = [
        f"{path.relative_to(ROOT)} -> {target}"
        for path in repository_files() if path.suffix == ".md"
        for target in link.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]  # fmt: skip
    assert not broken


def text_lines() -> list[tuple[str, str]]:
    """Every line of every text file in the repository, with its place."""
    lines = []
    for path in repository_files():
        content = path.read_bytes()
        if b"\0" in content[:8_000]:
            continue
        text = content.decode("utf-8", errors="replace")
        lines += [(f"{path.relative_to(ROOT)}:{n}", line) for n, line in enumerate(text.splitlines(), 1)]
    assert lines, "no files found"
    return lines
