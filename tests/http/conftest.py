"""A real dispatcher on a store in memory, its time in the test's hand, behind the real application."""

import io
from collections.abc import Iterator

import pytest
from falcon.testing import TestClient

from dispatch_core import Dispatcher, ManualClock, SeededIds
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import DispatchApp, create_app
from dispatch_http.observing import make_log
from dispatch_http.settings import HttpSettings
from tests.http.fleet import Fleet
from tests.http.openapi.described import DescribedClient


@pytest.fixture
def clock() -> ManualClock:
    """Time that moves only when told to."""
    return ManualClock()


@pytest.fixture
def dispatcher(clock: ManualClock) -> Iterator[Dispatcher]:
    """A dispatcher whose books must balance when the test is over."""
    with Dispatcher(MemoryStorage(clock), ids=SeededIds(1)) as dispatcher:
        yield dispatcher
        assert dispatcher.stats().identity_holds, "jobs accepted are the sum of jobs in all states"


@pytest.fixture
def settings() -> HttpSettings:
    """The settings of the application; modules override this fixture."""
    return HttpSettings()


@pytest.fixture
def log_lines() -> io.StringIO:
    """What the application logs."""
    return io.StringIO()


@pytest.fixture
def app(dispatcher: Dispatcher, settings: HttpSettings, log_lines: io.StringIO) -> Iterator[DispatchApp]:
    """The application; no test may make it fail in a way it did not expect, unless it clears the log."""
    yield create_app(dispatcher, settings, log=make_log(log_lines))
    failures = [line for line in log_lines.getvalue().splitlines() if '"event": "failure"' in line]
    assert not failures, failures[0]


@pytest.fixture
def client(app: DispatchApp) -> TestClient:
    """A caller on this machine, who holds every answer against the description of the API."""
    return DescribedClient(app, headers={"Host": "localhost"})


@pytest.fixture
def fleet(client: TestClient) -> Fleet:
    """Short words for what tests do most."""
    return Fleet(client)
