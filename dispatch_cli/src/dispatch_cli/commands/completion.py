"""`dispatch completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dispatch_cli.examples import examples

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
@examples(
    "dispatch completion bash > ~/.local/share/bash-completion/completions/dispatch",
    "dispatch completion zsh  > ~/.zfunc/_dispatch",
    "dispatch completion fish > ~/.config/fish/completions/dispatch.fish",
)
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None, f"click knows {shell}"
    click.echo(kind(context.find_root().command, {}, "dispatch", "_DISPATCH_COMPLETE").source())
