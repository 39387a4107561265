"""The Debian package: built, unpacked, and run from where it was unpacked."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb, which Debian has"),
]


def run(*command: str | Path, environ: dict[str, str] | None = None) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.checklist(76)
def test_the_package_holds_a_program_that_runs(tmp_path: Path) -> None:
    """It brings its libraries, a service that may do little, and a settings file that is good; it serves."""
    run("make", "deb", f"PY={sys.executable}")
    package = max((ROOT / "dist").glob("dispatch_*.deb"), key=lambda path: path.stat().st_mtime)
    run("dpkg-deb", "-x", package, tmp_path)
    assert "Depends: python3" in run("dpkg-deb", "-f", package, "Depends", "Version", "Package")
    python = Path(sys.executable).resolve().parent
    environ = {
        "PATH": f"{python}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    program, settings = tmp_path / "usr/bin/dispatch", tmp_path / "etc/dispatch/dispatch.toml"
    assert re.search(r"dispatch, version \d", run(program, "--version", environ=environ))
    shown = run(program, "config", "explain", "--config", settings, environ=environ)
    assert "/var/lib/dispatch/dispatch.db" in shown
    unit = (tmp_path / "lib/systemd/system/dispatch.service").read_text()
    for line in ("DynamicUser=yes", "StateDirectory=dispatch", "ProtectSystem=strict", "NoNewPrivileges=yes"):
        assert line in unit.splitlines()
    server = subprocess.Popen(
        [program, "serve", "--port", "0", "--database", tmp_path / "jobs.db", "--json"],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    assert "http://127.0.0.1" in server.stdout.readline()
    server.terminate()
    server.communicate(timeout=60)
    assert server.returncode == 0
