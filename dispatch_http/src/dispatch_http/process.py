"""What a process that only serves may say of itself; one that embeds the application is its owner's."""

from __future__ import annotations

import gc
import sys

_SWITCH_S = 0.02
_YOUNG_MAX = 20_000


def made_to_serve() -> None:
    """Spend less on threads and on the collector; call it when all is open.

    A thread that waits for the interpreter wakes each time the interval is over, only to wait again: by default two
    hundred times a second, and under load thirty threads wait. Requests give way by themselves every few
    hundred microseconds, so nobody waits longer for it.

    Reference counts free nearly everything here; what was made at the start stays, and need not be looked through
    for cycles time and again.
    """
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, 20, 20)
