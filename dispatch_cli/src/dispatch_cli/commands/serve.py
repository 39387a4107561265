"""`dispatch serve`."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from dispatch_cli.caller import kept_option, wants_json
from dispatch_cli.examples import examples
from dispatch_cli.parameter_types import BYTES


@click.command("serve")
@click.option("--host", metavar="ADDRESS", help="Listen on this address [127.0.0.1].")
@click.option("--port", type=int, metavar="N", help="Listen on this port; 0 takes a free one [8080].")
@click.option(
    "--database", metavar="PATH|URL", help="Keep jobs there [a file where the system keeps users' data]."
)
@click.option(
    "--api-key-file", metavar="PATH", help="The keys callers must have, one a line: KEY, or NAME KEY."
)
@click.option(
    "--insecure", is_flag=True, default=None, help="Let anyone in, even on an address others can reach."
)
@click.option(
    "--legacy/--no-legacy", default=None, help="Serve the older fleet's engines and client, too [yes]."
)
@click.option(
    "--legacy-key-file", metavar="PATH", help="Keys that open the older fleet's paths only; on loopback."
)
@click.option(
    "--server", type=click.Choice(["waitress", "granian"]), help="Granian has TLS and HTTP/2 [waitress]."
)
@click.option("--tls-cert", metavar="PATH", help="The certificate chain (PEM); with --server granian.")
@click.option("--tls-key", metavar="PATH", help="Its private key (PEM, PKCS#8, without a password).")
@click.option(
    "--large-job",
    "large_job_bytes",
    type=BYTES,
    metavar="SIZE",
    help="From this size on only engines that stream [none].",
)
@click.option(
    "--mode",
    type=click.Choice(["flow", "makespan", "strict-bands", "fifo"]),
    help="How jobs are ordered [flow].",
)
@click.option("--threads", type=int, metavar="N", help="Threads that serve requests [64].")
@click.option("--log-format", type=click.Choice(["json", "text"]), help="[text on a terminal, else json]")
@click.option("--config", metavar="PATH", help="A TOML file of settings [DISPATCH_CONFIG].")
@click.option(
    "--print-settings", is_flag=True, help="Print the settings in force as such a file, and do nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON.")
@click.pass_context
@examples(
    "dispatch serve",
    "dispatch serve --port 0 --database jobs.db --json",
    "dispatch serve --host 0.0.0.0 --api-key-file keys.txt",
    "dispatch serve --host 0.0.0.0 --api-key-file keys.txt --server granian --tls-cert c.pem --tls-key k.pem",
    "dispatch serve --print-settings > dispatch.toml",
)
def serve(
    context: click.Context,
    /,
    *,
    config: str | None,
    log_format: str | None,
    print_settings: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Run the server.

    Every setting may stand in the file by its name, in the environment as DISPATCH_ and its name in capitals, and the
    commonest as a flag; a flag beats the environment, which beats the file. DISPATCH_API_KEY holds one key that
    callers must have. Without any key only this machine is served. SIGTERM and SIGINT end it when all requests
    in flight are answered.
    """
    from dispatch_cli.serve_settings import as_toml, load

    given = settings_flags(context, log_format, flags)
    environ = dict(os.environ)
    settings = load(given, config)
    if print_settings:
        click.echo("\n".join(as_toml(settings.flat)))
        return
    from dispatch_cli.serve_sources import hidden, shown_password, strays
    from dispatch_cli.serving import run

    for warning in [*strays(environ, settings.flat), *shown_password(given)]:
        click.echo(f"Warning: {warning}", err=True)

    def announce(url: str) -> None:
        told = {"url": url, "database": hidden(settings.ours.database)}
        click.echo(
            json.dumps(told) if as_json or wants_json(context) else f"Serving {told['database']} at {url}"
        )

    context.exit(run(settings, announce))


def settings_flags(
    context: click.Context, log_format: str | None, flags: dict[str, Any]
) -> dict[str, object]:
    """The settings that the command line names, by their names."""
    for name in ("database", "api_key_file"):
        flags[name] = flags[name] or kept_option(context, name)
    given: dict[str, object] = {
        name: str(value) if name.endswith("key_file") else value
        for name, value in flags.items()
        if value is not None
    }
    if log_format is not None:
        given["log_json"] = log_format == "json"
    return given
