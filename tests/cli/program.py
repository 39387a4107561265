"""The program as tests run it."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen
from click.testing import CliRunner, Result

from dispatch_cli.main import main


@frozen
class Program:
    """`dispatch` with arguments that stand before every command line."""

    before: tuple[str, ...] = ()

    def __call__(self, *arguments: str, exit_code: int = 0, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(main, [*self.before, *arguments], input=stdin)
        assert result.exit_code == exit_code, (
            f"{arguments}: {result.exit_code}\n{result.output}{result.exception!r}"
        )
        return result

    def json(self, *arguments: str, exit_code: int = 0, stdin: str | None = None) -> Any:
        """What it prints with --json."""
        return json.loads(self(*arguments, "--json", exit_code=exit_code, stdin=stdin).stdout)
