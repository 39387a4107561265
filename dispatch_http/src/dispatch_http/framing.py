"""How waitress reads and ends requests here: no ambiguous framing, and problems instead of plain text."""

from __future__ import annotations

from collections import Counter
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask

from dispatch_http.problems import MEDIA_TYPE, Problem

# Repeated, each of these could be read in two ways by two servers in a row.
_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization", b"x-api-key",
                   b"idempotency-key"})  # fmt: skip


class StrictParser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Refuses what waitress would tolerate: repeated headers that must be single, two kinds of framing."""

    def parse_header(self, header_plus: bytes) -> None:
        """Check the names of the headers, then let waitress parse them. Raises ParsingError."""
        lines = header_plus.split(b"\r\n")[1:]
        names = Counter(line.partition(b":")[0].lower() for line in lines if line[:1] not in (b" ", b"\t"))
        for name in _ONCE:
            if names[name] > 1:
                raise ParsingError(f"{name.decode()} is given more than once")
        if names[b"content-length"] and names[b"transfer-encoding"]:
            raise ParsingError("content-length and transfer-encoding exclude each other")
        super().parse_header(header_plus)


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
    """Announces the end of the connection while the server drains, so that no client sends into the void."""

    def build_response_header(self) -> Any:
        """As waitress builds it; only the server may add Connection: close, an application may not."""
        if self.channel.server.draining:
            self.set_close_on_finish()
        return super().build_response_header()


class StrictChannel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection with the three changes above."""

    parser_class = StrictParser
    task_class = PoliteTask
    error_task_class = ProblemTask
