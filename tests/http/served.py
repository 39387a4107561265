"""A server in a process of its own, for tests that send it signals: prints its address, serves until told."""

import sys

from dispatch_core import Dispatcher
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings


def main(grace_s: float) -> int:
    """Serve a store in memory."""
    settings = HttpSettings(port=0, threads=16, drain_grace_s=grace_s)
    dispatcher = Dispatcher(MemoryStorage(), group_commit=True)
    server = Server(create_app(dispatcher, settings), dispatcher, settings)
    return server.serve_forever(lambda url: print(url, flush=True))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
