"""Instants as people write and read them. Forms have RFC 3339 text in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dispatch_cli.durations import parse_duration, spell_duration

SOON_S = 1.0


def parse_instant(text: str, now: datetime) -> str:
    """RFC 3339 text in UTC of a time, or of a duration from now with a sign. Raises ValueError.

    A time without a zone is the local one.

    >>> noon = datetime(2030, 1, 31, 12, tzinfo=UTC)
    >>> parse_instant("+90m", noon)
    '2030-01-31T13:30:00.000000Z'
    >>> parse_instant("-2h", noon)
    '2030-01-31T10:00:00.000000Z'
    >>> parse_instant("2030-01-31T12:00:00+02:00", noon)
    '2030-01-31T10:00:00.000000Z'
    """
    wanted = text.strip()
    seconds = parse_duration(wanted[1:]) if wanted.startswith(("+", "-")) else None
    try:
        if seconds is not None:
            return form_of(now + timedelta(seconds=-seconds if wanted[0] == "-" else seconds))
        return form_of(datetime.fromisoformat(wanted).astimezone(UTC))
    except (ValueError, OverflowError):
        hint = "write for example +2h, 2030-01-31T12:00 (local time) or 2030-01-31T12:00:00Z"
        raise ValueError(f"{text!r} is not a time; {hint}") from None


def form_of(at: datetime) -> str:
    """The text that forms hold."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def relative(text: object, now: datetime) -> str:
    """How long ago, or in how long, the instant of a form is.

    >>> noon = datetime(2030, 1, 31, 12, tzinfo=UTC)
    >>> relative("2030-01-31T11:58:30.000000Z", noon), relative("2030-01-31T14:00:00Z", noon), relative(None, noon)
    ('1 min ago', 'in 2 h', '')
    """
    if not isinstance(text, str):
        return ""
    try:
        seconds = (datetime.fromisoformat(text) - now).total_seconds()
    except (ValueError, TypeError):
        return text
    if abs(seconds) < SOON_S:
        return "now"
    spelled = spell_duration(round(abs(seconds)), 1)
    return f"in {spelled}" if seconds > 0 else f"{spelled} ago"


def utc_now() -> datetime:
    """The time of this machine, for what is shown and for relative times given."""
    return datetime.now(UTC)
