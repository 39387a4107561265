"""Steps of a ladder as people write them."""

from __future__ import annotations

import json
from typing import Any, Final

from dispatch_cli.durations import parse_duration

_FORM: Final = "write a duration and what changes, such as '10m any' or '30m codec=h264; require ffmpeg >= 6'"


def parse_step(text: str) -> dict[str, Any]:
    """The form of a step: ``any`` drops all requirements, ``require TERM`` names new ones, ``NAME=VALUE`` sets
    a parameter, ``NAME=`` removes one. Raises ValueError.

    >>> parse_step("10m any")
    {'after_s': 600.0, 'requirements': []}
    >>> parse_step("1h require ffmpeg >= 6; encoder=; codec=h264; crf=23")
    {'after_s': 3600.0, 'requirements': ['ffmpeg >= 6'], 'parameters': {'encoder': None, 'codec': 'h264', 'crf': 23}}
    """
    after, _, changes = text.strip().partition(" ")
    step: dict[str, Any] = {"after_s": parse_duration(after)}
    for change in (each.strip() for each in changes.split(";")):
        word, _, term = change.partition(" ")
        name, equals, value = (each.strip() for each in change.partition("="))
        if change == "any":
            step.setdefault("requirements", [])
        elif word == "require" and term.strip():
            step.setdefault("requirements", []).append(term.strip())
        elif equals and name.replace("_", "").isalnum():
            step.setdefault("parameters", {})[name] = _value(value)
        else:
            raise ValueError(f"{change!r} is no change: {_FORM}")
    return step


def _value(text: str) -> object:
    """JSON where it is JSON, else the text itself; nothing removes."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
