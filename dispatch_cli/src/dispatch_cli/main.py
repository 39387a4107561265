"""The `dispatch` command."""

from __future__ import annotations

import errno
import os
import sys
from types import MappingProxyType
from typing import Any, Final

import click

from dispatch_cli import __version__
from dispatch_cli.caller import connection_options, wants_json
from dispatch_cli.examples import examples
from dispatch_cli.exits import EXIT_CODES_HELP, CommandFailure, ExitCode
from dispatch_cli.lazy_group import Later, LazyGroup

COMMANDS: Final = MappingProxyType(
    {
        "submit": Later("dispatch_cli.commands.submit:submit", "Submit a job, or a file of jobs."),
        "jobs": Later("dispatch_cli.commands.groups:jobs", "Look at jobs and change them."),
        "engines": Later("dispatch_cli.commands.groups:engines", "Look at engines and steer them."),
        "pools": Later("dispatch_cli.commands.groups:pools", "Look at storage pools and change them."),
        "limits": Later("dispatch_cli.commands.groups:limits", "Look at limits by key and change them."),
        "campaigns": Later("dispatch_cli.commands.groups:campaigns", "Look at jobs that belong together."),
        "keys": Later("dispatch_cli.commands.groups:keys", "Say who is let in."),
        "status": Later("dispatch_cli.commands.status:status", "Count jobs and engines."),
        "rekey": Later("dispatch_cli.commands.rekey:rekey", "Place jobs that wait anew."),
        "logs": Later("dispatch_cli.commands.logs:logs", "Show the latest lines of the server's log."),
        "serve": Later("dispatch_cli.commands.serve:serve", "Run the server."),
        "config": Later("dispatch_cli.commands.groups:config", "Look at the settings of the server."),
        "db": Later("dispatch_cli.commands.groups:db", "Back up, check and restore the database."),
        "simulate": Later(
            "dispatch_cli.commands.groups:simulate", "Try fleets, workloads and policies without engines."
        ),
        "engine": Later("dispatch_cli.commands.groups:engine", "Be an engine: run jobs on this machine."),
        "demo": Later(
            "dispatch_cli.demo.command:demo_command", "Show the whole system at work.", optional=True
        ),
        "completion": Later(
            "dispatch_cli.commands.completion:completion", "Print the completion script of a shell."
        ),
    }
)
_AGENT: Final = Later("dispatch_cli.agent.command:run_command", "", optional=True)


class Program(LazyGroup):
    """The whole program: what ends it early ends it quietly, with the right exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command of this installation."""
        return [name for name, _ in self.short_helps()]

    def short_helps(self) -> list[tuple[str, str]]:
        """A group without commands is left out."""
        return [each for each in super().short_helps() if each[0] != "engine" or _AGENT.installed]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors take the form that was asked for."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except CommandFailure as failure:
            failure.show(as_json=wants_json(ctx))
            ctx.exit(failure.exit_code)
        except KeyboardInterrupt:
            ctx.exit(ExitCode.INTERRUPTED)
        except BrokenPipeError:
            _forget_output()
            ctx.exit(ExitCode.BROKEN_PIPE)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
                raise
            _forget_output()
            click.echo(f"Error: cannot write the answer: {error.strerror}", err=True)
            ctx.exit(ExitCode.UNAVAILABLE)


def _forget_output() -> None:
    """Python flushes standard output at exit and would complain again: let it flush to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    cls=Program,
    later=COMMANDS,
    epilog=EXIT_CODES_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="dispatch")
@connection_options
@examples(
    "dispatch serve",
    "dispatch submit input.mov output.mp4 --codec hevc --wait",
    "dispatch jobs list --state pending",
    "dispatch jobs explain JOB_ID",
    "dispatch completion bash > ~/.local/share/bash-completion/completions/dispatch",
)
def main() -> None:
    """Dispatch jobs to a fleet of engines.

    The options below may also stand after the name of a command.
    """
