"""A click group that imports a command only when it is run, so that `dispatch --help` stays quick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click
from attrs import frozen


@frozen
class Later:
    """A command that is not imported yet: ``module:name``, and the line that `--help` shows of it.

    An ``optional`` one is listed only where its module is installed.
    """

    place: str
    short_help: str
    optional: bool = False

    @property
    def installed(self) -> bool:
        """Whether its module can be imported, found out without importing it."""
        package, _, _ = self.place.partition(":")[0].rpartition(".")
        return find_spec(package) is not None and find_spec(self.place.partition(":")[0]) is not None

    def load(self) -> click.Command:
        """Import it now."""
        module, _, name = self.place.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command), f"{self.place} is no command"
        return command


class LazyGroup(click.Group):
    """Commands by name, in the order given, each imported when it is asked for."""

    def __init__(self, *arguments: Any, later: Mapping[str, Later], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._later = {name: each for name, each in later.items() if not each.optional or each.installed}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the table."""
        return list(self._later)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported; None if there is none of this name."""
        later = self._later.get(cmd_name)
        return None if later is None else later.load()

    def short_helps(self) -> Sequence[tuple[str, str]]:
        """Every name with its line of help; imports nothing."""
        return [(name, later.short_help) for name, later in self._later.items()]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in `--help`, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(self.short_helps())
