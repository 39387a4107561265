"""Text from elsewhere made harmless for a terminal."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
# C0, DEL and C1 move cursors, recolour screens and retitle windows; the rest reorders what is read.
_CONTROLS: Final = MappingProxyType(
    {
        **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], _REPLACEMENT),
        **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], _REPLACEMENT),
        ord("\n"): " ",
        ord("\t"): " ",
        ord("\r"): " ",
    }
)


def clean(text: str) -> str:
    r"""The text on one line, without what a terminal would obey instead of show.

    >>> clean("ffmpeg said\n\x1b[2J")
    'ffmpeg said \ufffd[2J'
    """
    return text.translate(_CONTROLS)
