"""Who installs handlers of signals: one that locks may wait for itself, so there is one place that knows how."""

import ast

from tests.architecture.source import Module, modules

MAY_INSTALL = {
    "dispatch_http.signals": "puts into a queue, and nothing else",
    "dispatch_cli.demo.command": "raises KeyboardInterrupt, as Python itself does",
}


def installs(module: Module) -> bool:
    """Whether a module says what happens at a signal."""
    return "signal" in module.text and any(
        isinstance(node, ast.Attribute) and ast.unparse(node) in {"signal.signal", "signal.sigaction"}
        for node in ast.walk(module.tree)
    )


def test_handlers_are_installed_in_one_place() -> None:
    """Nothing but the modules named above installs a handler, and each of them does."""
    assert sorted(module.name for module in modules() if installs(module)) == sorted(MAY_INSTALL)
