"""A real encoder at work for as long as a test needs it, and no processor kept busy only for time to pass."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PACED: Final = "superfast"
"""The preset of x264 that takes its time with a paced ffmpeg."""


def paced(ffmpeg: Path, folder: Path, *, speed: float = 1.0) -> Path:
    """A program that is this ffmpeg, but with that preset reads its input at no more than a multiple of playing speed."""
    program = folder / "ffmpeg"
    program.write_text(
        f"""#!/bin/sh
case " $* " in
*" -preset {PACED} "*) exec '{ffmpeg}' -readrate {speed:g} "$@" ;;
*) exec '{ffmpeg}' "$@" ;;
esac
"""
    )
    program.chmod(0o755)
    return program
