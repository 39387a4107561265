"""The log: one form for all that is logged, no secrets in it, one thread that writes, and the latest lines kept."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from json import JSONEncoder
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any, Final, TextIO

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter

from dispatch_core import BatchReport

Log = structlog.typing.FilteringBoundLogger
Event = MutableMapping[str, Any]
LEVELS: Final = ("debug", "info", "warning", "error", "critical")
LINES_MAX: Final = 2_000
_GATHER_S: Final = 0.01
_TOGETHER_MAX: Final = 1_000
_NOTHING: Final = object()
OWN: Final = "dispatch_http"
_KEYS_FIRST: Final = ["timestamp", "level", "event"]
# What these say at "info" is of no use to who runs the server.
_CHATTY: Final = ("alembic", "sqlalchemy", "waitress")

_HIDDEN: Final = "***"
_SECRETS: Final = (
    (re.compile(r"\b(dsp_[A-Za-z0-9-]+)_[A-Za-z0-9._~+/=-]+"), rf"\1_{_HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{16,}"), rf"\1 {_HIDDEN}"),
    (re.compile(r"(?i)\b(x-api-key|api[_-]?key|(?:ssl)?password|secret)(\"?[=:] ?\"?)[^\s\"',&]+"), rf"\1\2{_HIDDEN}"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), rf"\1:{_HIDDEN}@"),
    # Also one with characters that should have been escaped.
    (re.compile(r"(postgres(?:ql)?(?:\+\w+)?://[^\s:@]*):\S*@"), rf"\1:{_HIDDEN}@"),
)  # fmt: skip
# What each of those has in it, in small letters.
_HINTS: Final = ("dsp_", "bearer", "basic", "apikey", "api_key", "api-key", "password", "secret", "://")
_NUMBERS: Final = (int, float, type(None))
_PLAIN: Final = (int, float, str, bool, dict, list, type(None))
_ENCODER: Final = JSONEncoder(default=repr)
_SECRET_NAMES: Final = frozenset({"authorization", "x-api-key", "api_key", "key_text", "password", "secret"})


def redact(_logger: object, _method: str, event: Event) -> Event:
    """Processor: hides keys and passwords, wherever in the values they stand."""
    if _plainly_clean(event):
        return event
    for name, value in event.items():
        event[name] = _HIDDEN if name.lower() in _SECRET_NAMES else _redacted(value)
    return event


def _plainly_clean(event: Event) -> bool:
    """Whether one look says that there is nothing to hide, as in almost every line."""
    texts: list[str] = []
    for name, value in event.items():
        if _names_a_secret(name):
            return False
        if isinstance(value, str):
            texts.append(value)
        elif not isinstance(value, _NUMBERS):
            return False
    text = "\n".join(texts)
    if not text.isascii():
        return False  # other letters have small ones that are not what a pattern takes for them
    text = text.lower()
    return not any(hint in text for hint in _HINTS)


@lru_cache(maxsize=1_000)
def _names_a_secret(name: str) -> bool:
    return name.lower() in _SECRET_NAMES


def _redacted(value: object) -> object:
    match value:
        case str():
            for pattern, replacement in _SECRETS:
                value = pattern.sub(replacement, value)
            return value
        case Mapping():
            return dict(redact(None, "", dict(value)))
        case list() | tuple():
            return [_redacted(each) for each in value]
        case _:
            return value


class Ring:
    """The latest lines, in memory. As a processor it keeps what passes through. Thread-safe."""

    def __init__(self, lines_max: int = LINES_MAX) -> None:
        self._lines: deque[dict[str, Any]] = deque(maxlen=lines_max)
        self._lock = threading.Lock()

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        """Keep a line, as text and numbers only."""
        line: dict[str, Any] = {"logger": OWN}
        for name, each in event.items():
            line[name] = each if isinstance(each, _PLAIN) else str(each)
        with self._lock:
            self._lines.append(line)
        return event

    def read(
        self, *, level: str = "debug", logger: str | None = None, since: datetime | None = None, limit: int
    ) -> list[dict[str, Any]]:
        """The last ``limit`` lines, oldest first: at ``level`` or above, of ``logger`` or below, from ``since`` on."""
        wanted = LEVELS[LEVELS.index(level) :]
        with self._lock:
            lines = list(self._lines)
        found = [
            line
            for line in lines
            if line["level"] in wanted
            and (logger is None or f"{line['logger']}.".startswith(f"{logger}."))
            and (since is None or datetime.fromisoformat(line["timestamp"]) >= since)
        ]
        return found[-limit:]


def chain(*, json: bool, ring: Ring | None) -> list[Any]:
    """What happens to a line at the end: tracebacks to text, secrets out, kept, made a string.

    Either way control characters are escaped, so that no input can forge a line.
    """
    render: Any = _as_json
    if not json:
        render = structlog.processors.KeyValueRenderer(key_order=_KEYS_FIRST, drop_missing=True)
    return [structlog.processors.format_exc_info, redact, *([] if ring is None else [ring]), render]


def _as_json(_logger: object, _method: str, event: Event) -> str:
    """Processor: the line as JSON in ASCII."""
    try:
        text = orjson.dumps(event, default=repr)
    except orjson.JSONEncodeError:  # a lone surrogate, say
        return _ENCODER.encode(event)
    return text.decode() if text.isascii() and b"\x7f" not in text else _ENCODER.encode(event)


@contextmanager
def logging_to(ring: Ring, *, json: bool, stream: TextIO | None = None) -> Iterator[Log]:
    """While this runs, all that the process logs goes to ``stream`` (stderr), in one form, and into the ring.

    Callers put lines into a queue; one thread writes them, and flushes when it has caught up. It ends with
    this. Configures the root logger: for programs, not for libraries.
    """
    head: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    lines: SimpleQueue[Any] = SimpleQueue()
    handler = QueueHandler(lines)
    tail = [ProcessorFormatter.remove_processors_meta, *chain(json=json, ring=ring)]
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=head, processors=tail))
    listener = _Listener(lines, _Lines(stream or sys.stderr, lines))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    listener.start()
    try:
        # Our own lines, one a request, go to the queue as text: the root logger's way costs three times as much.
        named: list[Any] = [
            structlog.stdlib.add_log_level,
            _name_ours,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ]
        log: Log = structlog.wrap_logger(
            _Queued(lines),
            processors=[*named, *chain(json=json, ring=ring)],
            wrapper_class=structlog.make_filtering_bound_logger("info"),
        )
        yield log
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        listener.stop()


def _name_ours(_logger: object, _method: str, event: Event) -> Event:
    event["logger"] = OWN
    return event


class _Queued:
    """What structlog takes for a logger: puts finished lines into a queue, whatever their level."""

    def __init__(self, lines: SimpleQueue[Any]) -> None:
        self.info = self.warning = self.error = self.critical = self.exception = lines.put


class _Listener(QueueListener):
    """Writes records as any listener, and finished lines as they are, those of a hundredth of a second together.

    To wake for each line of a busy server, and write it by itself, cost as much as half a request.
    """

    def __init__(self, waiting: SimpleQueue[Any], handler: _Lines) -> None:
        super().__init__(waiting, handler)
        self._waiting = waiting

    def handle(self, record: Any) -> None:
        """Write one, and the lines that follow it."""
        if not isinstance(record, str):
            super().handle(record)
            return
        if self._waiting.empty():
            time.sleep(_GATHER_S)
        lines, other = self._lines_after(record)
        for handler in self.handlers:
            assert isinstance(handler, _Lines)
            handler.write_lines(lines)
        if other is not _NOTHING:
            self._pass_on(other)

    def _lines_after(self, first: str) -> tuple[list[str], Any]:
        """The lines that wait already, up to the first thing that is none, and that."""
        lines = [first]
        while len(lines) < _TOGETHER_MAX and not self._waiting.empty():
            found = self.dequeue(False)  # nobody else takes from it
            if not isinstance(found, str):
                return lines, found
            lines.append(found)
        return lines, _NOTHING

    def _pass_on(self, other: Any) -> None:
        if isinstance(other, logging.LogRecord):
            super().handle(other)
        else:  # the word to stop, behind which nothing comes
            self.queue.put_nowait(other)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines; flushes when no more are waiting, not after each."""

    def __init__(self, stream: TextIO, lines: SimpleQueue[logging.LogRecord]) -> None:
        super().__init__(stream)
        self._waiting = lines

    def write_lines(self, lines: list[str]) -> None:
        """Write finished lines. A stream that fails costs the lines, not the server."""
        with suppress(OSError, ValueError):
            self.stream.write(self.terminator.join([*lines, ""]))
            self.flush()

    def flush(self) -> None:
        """Flush if this was the last line for now."""
        if self._waiting.empty():
            super().flush()


class GrantLog:
    """Observer: logs why every ``every``-th grant went where it went. The history has the reason of each."""

    def __init__(self, log: Log, every: int) -> None:
        self._log = log
        self._every = every
        self._seen = 0

    def committed(self, report: BatchReport) -> None:
        """Count the grants of a batch, and log those whose turn it is."""
        for recorded in report.history:
            if recorded.event != "job-granted" or not self._every:
                continue
            self._seen += 1
            if (self._seen - 1) % self._every == 0:
                data = recorded.data
                self._log.info(
                    "granted",
                    job=recorded.ref[1],
                    engine=data.get("engine_id"),
                    attempt=data.get("attempt"),
                    why=data.get("explanation"),
                )
