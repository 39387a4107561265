"""Examples of a command, shown by `--help` and run by the tests."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def examples(*lines: str) -> Callable[[F], F]:
    """Append command lines to the help of a command, each on a line of its own."""

    def append(command: F) -> F:
        told = inspect.cleandoc(command.__doc__ or "")
        # click keeps the lines of a paragraph that begins with a backspace as they are.
        command.__doc__ = "\n".join([told, "", "\b", "Examples:", *(f"  {line}" for line in lines)])
        return command

    return append
