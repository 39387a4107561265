"""What import-linter cannot say about who may import what."""

import pytest

from tests.architecture.source import modules

# The core as the frontends see it. Everything else in it may change without notice.
PUBLIC = ("dispatch_core", "dispatch_core.forms", "dispatch_core.storage", "dispatch_core.storage.memory", "dispatch_core.storage.sql",
          "dispatch_core.simulation", "dispatch_core.testing")  # fmt: skip

INNER = [module for module in modules("dispatch_core") if module.name != "dispatch_core"]
FRONTENDS = modules("dispatch_http", "dispatch_cli")


@pytest.mark.checklist(6)
def test_frontends_use_the_public_names_of_the_core() -> None:
    inner = [
        f"{module.where}:{line} imports {name}" for module in FRONTENDS for line, name in module.imports()
        if name.split(".")[0] == "dispatch_core" and name not in PUBLIC
    ]  # fmt: skip
    assert not inner, f"import from {', '.join(PUBLIC[:3])} …: {inner}"


def test_inner_modules_do_not_import_the_facade() -> None:
    facade = [
        f"{module.where}:{line}" for module in INNER for line, name in module.imports()
        if name == "dispatch_core"
    ]  # fmt: skip
    assert not facade, f"import from the module that defines the name: {facade}"
