"""Opens the target that a command speaks to: a local database, or a server."""

from __future__ import annotations

from attrs import field, frozen

from dispatch_cli.servers import Servers
from dispatch_cli.target import Target


@frozen(kw_only=True)
class Connection:
    """Which target, and how to speak to it."""

    servers: Servers
    database: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0


def open_target(connection: Connection, *, create: bool = False) -> Target:
    """A local database if one is named, else the server. Raises CommandFailure.

    A database file that is not there is made only if ``create`` says so.
    """
    if connection.database is not None:
        from dispatch_cli.local_target import open_local

        return open_local(connection.database, create=create)
    from dispatch_cli.remote_target import RemoteTarget
    from dispatch_cli.transport import Transport

    transport = Transport(connection.servers, api_key=connection.api_key, timeout_s=connection.timeout_s)
    return RemoteTarget(transport)
