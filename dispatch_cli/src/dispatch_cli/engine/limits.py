"""Limits that the caller sets for what an engine may spend on one job."""

from attrs import frozen


@frozen(kw_only=True)
class Limits:
    """How long ffmpeg may run in all, and how long without getting any further; None is no limit."""

    run_s: float | None = None
    no_progress_s: float | None = None


@frozen(kw_only=True)
class FetchLimits:
    """What a remote source may cost: bytes, the time to connect, between two chunks, and in all."""

    size_bytes_max: int = 64 << 30
    connect_s: float = 10.0
    silence_s: float = 30.0
    total_s: float = 6 * 3_600.0
