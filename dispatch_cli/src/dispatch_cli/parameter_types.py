"""What the values of options may look like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from dispatch_cli.byte_sizes import parse_bytes
from dispatch_cli.durations import parse_duration
from dispatch_cli.instants import parse_instant, utc_now
from dispatch_cli.ladder_steps import parse_step

FILE_BYTES_MAX: Final = 8 * 1024 * 1024


class Duration(click.ParamType[float]):
    """Seconds, written as 90s, 10m, 2h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        try:
            return value if isinstance(value, float) else parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Instant(click.ParamType[str]):
    """A time, or a duration from now: 2030-01-31T12:00:00Z, +2h."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """RFC 3339 text in UTC."""
        try:
            return parse_instant(str(value), utc_now())
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Ahead(click.ParamType[str]):
    """A time to come: 2030-01-31T12:00:00Z, or a duration from now, with or without a sign: 2h, +2h."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """RFC 3339 text in UTC."""
        text = str(value).strip()
        try:
            parse_duration(text)
        except ValueError:
            return INSTANT.convert(text, param, ctx)
        return INSTANT.convert(f"+{text}", param, ctx)


class JsonObject(click.ParamType[Mapping[str, object]]):
    """A JSON object, or @FILE that holds one."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Mapping[str, object]:
        """The object."""
        if isinstance(value, Mapping):
            return value
        try:
            found = json.loads(_content(str(value)))
        except (OSError, ValueError) as error:
            self.fail(f"{str(value)[:100]!r}: {error}", param, ctx)
        if not isinstance(found, dict):
            self.fail("must be a JSON object such as '{\"name\": 1}'", param, ctx)
        return found


class FallBack(click.ParamType[Mapping[str, object]]):
    """A step of a ladder: a duration, then what changes, such as 10m any; codec=h264."""

    name = "step"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Mapping[str, object]:
        """The step's form."""
        try:
            return value if isinstance(value, Mapping) else parse_step(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class LimitUse(click.ParamType[Mapping[str, object]]):
    """A key and perhaps how many units: licence-x, io=2."""

    name = "limit"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Mapping[str, object]:
        """The form of a limit's use."""
        if isinstance(value, Mapping):
            return value
        key, equals, units = str(value).rpartition("=")
        if not equals:
            return {"key": units}
        if not units.isdecimal():
            self.fail(f"{str(value)[:100]!r}: write KEY or KEY=UNITS, such as io=2", param, ctx)
        return {"key": key, "units": int(units)}


def _content(value: str) -> str:
    if not value.startswith("@"):
        return value
    path = Path(value[1:])
    if path.stat().st_size > FILE_BYTES_MAX:
        raise ValueError(f"is larger than {FILE_BYTES_MAX} bytes")
    return path.read_text(encoding="utf-8")


class ByteSize(click.ParamType[int]):
    """Bytes, written as 500MB, 1.5TB or 4GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        try:
            return value if isinstance(value, int) else parse_bytes(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION: Final = Duration()
INSTANT: Final = Instant()
AHEAD: Final = Ahead()
BYTES: Final = ByteSize()
JSON_OBJECT: Final = JsonObject()
FALL_BACK: Final = FallBack()
LIMIT_USE: Final = LimitUse()
