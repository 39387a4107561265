"""The `dispatch` command."""

import click

from dispatch_cli import __version__


@click.group()
@click.version_option(__version__, prog_name="dispatch")
def main() -> None:
    """Dispatch jobs to a fleet of engines."""
