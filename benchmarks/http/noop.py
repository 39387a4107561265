"""A Falcon application that answers a request and does nothing: the limit of what any application could serve."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading

import falcon


class Nothing:
    """Reads nothing, says nothing."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """An empty object."""
        resp.data = b"{}"


def application() -> falcon.App[falcon.Request, falcon.Response]:
    """The smallest application."""
    app = falcon.App()
    app.add_route("/noop", Nothing())
    return app


def main(server: str, threads: str) -> None:
    """Serve it until the process is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    threading.Timer(1.0, lambda: print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)).start()
    if server == "waitress":
        import waitress

        waitress.serve(application(), host="127.0.0.1", port=port, threads=int(threads), _quiet=True)
        return
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server.mp import MPServer

    MPServer(
        "noop",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=int(threads),
        log_level=LogLevels.error,
    ).serve(target_loader=application, wrap_loader=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
