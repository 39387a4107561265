"""Whether time passes here: when the last tick ended."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import define

from dispatch_http.problems import Refusal

AGE_S_MAX = 90.0
"""A tick that is this old is late, even if a failing store made it slow down."""


@define(eq=False)
class Heart:
    """Beats with every tick that ended well. Where nobody ticks it says nothing."""

    clock: Callable[[], float] = time.monotonic
    last: float | None = None

    def beat(self) -> None:
        """A tick has ended."""
        self.last = self.clock()

    def check(self) -> None:
        """Raises Refusal if there were ticks, and there are none any more."""
        if self.last is not None and self.clock() - self.last > AGE_S_MAX:
            raise Refusal("not-ready", f"the last tick ended {self.clock() - self.last:.0f} s ago")
