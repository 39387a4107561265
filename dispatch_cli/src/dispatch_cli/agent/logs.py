"""The log of an agent: lines for people, or JSON objects for programs, on standard error."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

from dispatch_cli.render.clean import clean

Log = structlog.typing.FilteringBoundLogger
LogFormat = Literal["text", "json"]


def make_log(form: LogFormat, stream: TextIO | None = None) -> Log:
    """A log to ``stream``; configures nothing global. Control characters are escaped, so nothing can forge a line."""
    render: Any = structlog.processors.JSONRenderer() if form == "json" else _line
    log: Log = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if form == "json" else "%H:%M:%S", utc=form == "json"),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )
    return log


def _line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """``12:00:00 info     claimed  job=… attempt=1``; a traceback follows on lines of its own."""
    head = f"{event.pop('timestamp')} {event.pop('level'):<8} {clean(str(event.pop('event')))}"
    trace = event.pop("exception", None)
    words = "  ".join(f"{name}={_word(value)}" for name, value in event.items() if value is not None)
    line = f"{head}  {words}".rstrip()
    return line if trace is None else f"{line}\n{trace}"


def _word(value: object) -> str:
    text = clean(str(value))
    return repr(text) if not text or " " in text else text
