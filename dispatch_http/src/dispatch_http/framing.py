"""How waitress reads and ends requests here: no ambiguous framing, no endless request, problems not plain text."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from copy import copy
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest
from waitress.wasyncore import readwrite

from dispatch_http.answers import LINES_TYPE
from dispatch_http.crew import Crew
from dispatch_http.interests import IN, OUT, flags_of, interests
from dispatch_http.problems import MEDIA_TYPE, Problem

# Repeated, each of these could be read in two ways by two servers in a row.
_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization", b"x-api-key",
                   b"idempotency-key"})  # fmt: skip


class StrictParser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Refuses what waitress would tolerate: repeated headers that must be single, two kinds of framing."""

    adj: Any

    def parse_header(self, header_plus: bytes) -> None:
        """Check the names of the headers, then let waitress parse them. Raises ParsingError."""
        lines = header_plus.split(b"\r\n")[1:]
        names = [line.partition(b":")[0].lower() for line in lines if line[:1] not in (b" ", b"\t")]
        if len(set(names)) < len(names):
            _refuse_repeated(names)
        if b"content-length" in names and b"transfer-encoding" in names:
            raise ParsingError("content-length and transfer-encoding exclude each other")
        super().parse_header(header_plus)
        said = self.headers.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if said == LINES_TYPE and (self.command, self.path) == ("POST", "/jobs"):
            # Read line by line, from a file if there are many: a body of lines has a limit of its own.
            self.adj = self.adj.for_lines


def _refuse_repeated(names: Iterable[bytes]) -> None:
    counts = Counter(names)
    for name in _ONCE:
        if counts[name] > 1:
            raise ParsingError(f"{name.decode()} is given more than once")


class ProblemTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """Answers what waitress itself refuses in the same form as everything else."""

    def execute(self) -> None:
        """Write the problem and close the connection."""
        error = self.request.error
        code = str(error.reason).lower().replace(" ", "-")
        problem = Problem(status=error.code, title=error.reason, code=code, detail=str(error.body))
        body = problem.body(None)
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", MEDIA_TYPE))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class PoliteTask(WSGITask):  # type: ignore[misc]  # waitress has no types
    """Keeps connections wherever HTTP allows it; announces their end while the server drains, so that no client
    sends into the void.
    """

    wrote_header: bool

    def build_response_header(self) -> bytes:
        """The head of the answer. Only the server may add Connection: close, an application may not.

        waitress closes after every answer without a length, so after every claim that finds nothing.
        """
        headers = self.response_headers
        if self.content_length is not None and self.has_body and not _names(headers, "content-length"):
            headers.append(("Content-Length", str(self.content_length)))
        self._end_connection(known=self.content_length is not None)
        headers.append(("Date", _http_date(int(self.start_time))))
        lines = [
            f"HTTP/{self.version} {self.status}",
            *(f"{name.title()}: {value}" for name, value in headers),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _end_connection(self, *, known: bool) -> None:
        """Say how the answer ends, and with it perhaps the connection; ``known``: it has a length."""
        wish = self.request.headers.get("CONNECTION", "").lower()
        if self.has_body and not known and self.version == "1.1":
            self.response_headers.append(("Transfer-Encoding", "chunked"))
            self.chunked_response = True
        framed = known or self.chunked_response or not self.has_body
        keeps = framed and (wish != "close" if self.version == "1.1" else wish == "keep-alive")
        if self.channel.server.draining or not keeps:
            self.set_close_on_finish()
        elif self.version == "1.0":
            self.response_headers.append(("Connection", "Keep-Alive"))

    def write(self, data: bytes) -> None:
        """Head and body in one packet, if the body is there at once."""
        if self.wrote_header or not self.complete or not self.has_body or self.content_length != len(data):
            super().write(data)
            return
        self.channel.write_soon(self.build_response_header() + data)
        self.wrote_header = True
        self.content_bytes_written += len(data)


def _names(headers: Iterable[tuple[str, str]], wanted: str) -> bool:
    return any(name.lower() == wanted for name, _ in headers)


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


class RequestTimeout(BadRequest):  # type: ignore[misc]  # waitress has no types
    """A request that did not arrive in time."""

    code = 408
    reason = "Request Timeout"


class StrictChannel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection with the three changes above, and a deadline for each request it receives.

    Whoever changes what it waits for calls ``arm``: the loop after an event, a worker when its answer is sent or
    cannot be sent at once.
    """

    parser_class = StrictParser
    task_class = PoliteTask
    error_task_class = ProblemTask
    receiving_since: float | None = None
    _fileno: int | None
    total_outbufs_len: int

    def __init__(self, server: StrictServer, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:  # noqa: A002  # waitress says so
        self._arming = threading.Lock()
        super().__init__(server, sock, addr, adj, map=map)
        self.arm()

    def arm(self) -> None:
        """Have the loop told when what this connection waits for now is there. From any thread."""
        interests = self.server.interests
        if interests is None:
            self.server.trigger.pull_trigger()
            return
        with self._arming:  # else one thread's older view could come after another's newer one
            flags = flags_of(self)
            if flags and self._fileno is not None:
                interests.wait_for(self._fileno, flags)

    def del_channel(self, map: Any = None) -> None:  # noqa: A002  # waitress says so
        """Be waited for no more: the number of the socket will soon be another's."""
        with self._arming:
            if self.server.interests is not None and self._fileno is not None:
                self.server.interests.forget(self._fileno)
            super().del_channel(map)

    def told(self, flags: int) -> None:
        """An event: of what it waits for now, or the end. Loop thread only."""
        wanted = flags_of(self)
        if wanted:
            readwrite(self, flags & (wanted | ~(IN | OUT)))
            self.arm()

    def service(self) -> None:
        """Answer a request, then wait for the next."""
        super().service()
        self.arm()

    def write_soon(self, data: Any) -> Any:
        """Send, now or when there is room."""
        written = super().write_soon(data)
        if self.total_outbufs_len:
            self.arm()
        return written

    def _flush_outbufs_below_high_watermark(self) -> None:
        if self.total_outbufs_len > self.adj.outbuf_high_watermark:
            self.arm()  # this may wait until the loop has sent some of it
        super()._flush_outbufs_below_high_watermark()

    def received(self, data: bytes) -> Any:
        """Note when a request begins to arrive; its end, not its latest byte, has to come in time."""
        if self.receiving_since is None:
            self.receiving_since = time.monotonic()
        found = super().received(data)
        if self.request is None:
            self.receiving_since = None
        return found

    def give_up(self, receive_s: float) -> None:
        """Answer 408 if the request that is arriving has taken longer than ``receive_s``. Loop thread only."""
        began = self.receiving_since
        if began is None or time.monotonic() - began < receive_s:
            return
        with self.requests_lock:
            late: Any = self.request
            self.request: Any = None
            self.receiving_since = None
            if late is None or self.requests or self.will_close:
                return
            late.error = RequestTimeout(f"the request did not arrive within {receive_s:g} s")
            late.completed = True
            self.requests.append(late)
            self.server.add_task(self)


class StrictServer(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """waitress on a socket that is already bound, with the connections above."""

    channel_class = StrictChannel
    draining = False

    def __init__(
        self,
        app: Any,
        listener: Any,
        sockets: dict[int, Any],
        receive_s: float,
        lines_bytes_max: int,
        **options: Any,
    ) -> None:
        adjustments = Adjustments(sockets=[listener], **options)
        adjustments.for_lines = copy(adjustments)
        adjustments.for_lines.max_request_body_size = lines_bytes_max
        self.receive_s = receive_s
        self.interests = interests()
        place = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            app,
            sockets,
            _sock=listener,
            dispatcher=Crew(adjustments.threads),
            adj=adjustments,
            bind_socket=False,
            sockinfo=place,
        )

    def pull_trigger(self) -> None:
        """What waitress does when a connection has changed. Here it was armed by whoever changed it."""
        if self.interests is None:
            super().pull_trigger()

    def run(self) -> None:
        """Wait for news and see to it until every socket is closed."""
        if self.interests is None:
            super().run()
            return
        self.interests.wait_for(self.trigger.socket.fileno(), IN, once=False)
        accepting = False
        while self._map:
            if accepting is not bool(self.readable()) and self._fileno is not None:
                accepting = not accepting
                self.interests.wait_for(self._fileno, IN if accepting else 0, once=False)
            for fileno, flags in self.interests.news(self.adj.asyncore_loop_timeout):
                self._tell(fileno, flags)
        self.interests.close()

    def _tell(self, fileno: int, flags: int) -> None:
        found = self._map.get(fileno)
        if isinstance(found, StrictChannel):
            found.told(flags)
        elif found is not None:
            readwrite(found, flags)

    def maintenance(self, now: float) -> None:
        """Close idle connections, as waitress does, and give up on requests that do not end."""
        super().maintenance(now)
        for channel in list(self.active_channels.values()):
            channel.give_up(self.receive_s)
            if channel.will_close:
                channel.arm()
