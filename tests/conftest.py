"""What all tests share. Fixtures of one area live in that area's conftest."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings

from dispatch_core.storage import create_storage
from tests.support.postgres import Databases, Postgres, postgres

pytest.register_assert_rewrite("dispatch_core.testing")

# Generated examples must not fail on a slow machine, and a gate must give one verdict for one commit.
settings.register_profile("test", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.register_profile("soak", parent=settings.get_profile("test"), max_examples=5_000, derandomize=False)
settings.load_profile(os.environ.get("DISPATCH_TEST_PROFILE", "test"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Thousands of tests are there to stay: the collector need not look at them again, nor at the rest so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL for all tests of this process: no other process's transactions hold its history back."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: Postgres) -> Databases:
    """The stores of that server."""
    return Databases(postgres_server, lambda url: create_storage(url).close())


@pytest.fixture
def postgres_urls(postgres_databases: Databases) -> Iterator[Callable[[], str]]:
    """Lends empty stores, each a database of its own, until the test ends."""
    with ExitStack() as lent:

        def lend() -> str:
            url = postgres_databases.lend()
            lent.callback(postgres_databases.take_back, url)
            return url

        yield lend


@pytest.fixture
def postgres_url(postgres_urls: Callable[[], str]) -> str:
    """The URL of an empty store."""
    return postgres_urls()
