"""The application over a dispatcher that has the older fleet's kind, and that fleet's words."""

from collections.abc import Iterator

import pytest
from falcon.testing import TestClient

from dispatch_core import TRANSCODE, Dispatcher, ManualClock, SeededIds
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.checkers import check_store
from dispatch_http.app import DispatchApp
from dispatch_http.legacy.kind import DISTCONV
from tests.http.legacy.words import Older


@pytest.fixture
def dispatcher(clock: ManualClock) -> Iterator[Dispatcher]:
    """A dispatcher whose store must obey every law when the test is over."""
    storage = MemoryStorage(clock)
    with Dispatcher(storage, kinds=(TRANSCODE, DISTCONV), ids=SeededIds(1)) as dispatcher:
        yield dispatcher
        check_store(storage)


@pytest.fixture
def client(app: DispatchApp) -> TestClient:
    """A caller on this machine; the description of the API is not about the older fleet's answers."""
    return TestClient(app, headers={"Host": "localhost"})


@pytest.fixture
def older(client: TestClient) -> Older:
    """The older client and engines in one person."""
    return Older(client)
