"""The pytest plugin of dispatch-core: the ``fleet`` fixture.

pytest imports every installed plugin whenever it starts. So this one stands beside the library, and imports it only when
a test asks for a fleet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dispatch_core.testing.fleet import Fleet


@pytest.fixture
def fleet_options() -> Mapping[str, Any]:
    """What ``fleet`` is made with: arguments of ``dispatch_core.testing.fleet.Fleet``. Override it with your own kinds."""
    return {}


@pytest.fixture
def fleet(fleet_options: Mapping[str, Any]) -> Iterator[Fleet]:
    """A dispatcher in memory with a manual clock, and engines that do as told; every law is checked at the end."""
    from dispatch_core.testing.fleet import Fleet

    made = Fleet(**fleet_options)
    yield made
    try:
        made.check()
    finally:
        made.close()
