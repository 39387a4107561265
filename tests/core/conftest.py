"""Dispatchers for tests of the core: every store is checked against every law when its test ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dispatch_core import Dispatcher, ManualClock, SeededIds, Storage
from dispatch_core.storage import create_storage
from dispatch_core.testing.checkers import check_store

MakeDispatcher = Callable[..., Dispatcher]


@pytest.fixture
def clock() -> ManualClock:
    """Integer time that moves only when told to."""
    return ManualClock()


STORES = os.environ.get("DISPATCH_TEST_STORES", "memory sqlite").split()
"""The stores that tests of the core run on; PostgreSQL's turn is in the soak (tests/soak/test_stores.py)."""


@pytest.fixture(params=STORES)
def storage(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Storage]:
    """A store of each kind."""
    urls = {"memory": "memory:", "sqlite": "sqlite://"}
    url = urls.get(request.param) or request.getfixturevalue("postgres_url")
    store = create_storage(url, clock=clock)
    yield store
    store.close()


@pytest.fixture
def make_dispatcher(storage: Storage) -> Iterator[MakeDispatcher]:
    """Makes dispatchers over ``storage`` (or another); at the end they close and the laws are checked."""
    made: list[Dispatcher] = []

    def make(store: Storage | None = None, **options: Any) -> Dispatcher:
        options.setdefault("ids", SeededIds(len(made)))
        made.append(Dispatcher(storage if store is None else store, **options))
        return made[-1]

    yield make
    for dispatcher in made:
        dispatcher.close()
    most = max((dispatcher.settings.give_backs_max for dispatcher in made), default=16)
    for store in {id(store): store for store in (storage, *(each.storage for each in made))}.values():
        check_store(store, most)


@pytest.fixture
def dispatcher(make_dispatcher: MakeDispatcher) -> Dispatcher:
    """A dispatcher with everything as it comes."""
    return make_dispatcher()
