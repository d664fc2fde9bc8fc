from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from data_manager.storage.protocols import MarketStore
from tests.storage.backends import BACKENDS, Backend, MongoBackend, SqliteBackend


@pytest.fixture(params=BACKENDS)
def new_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Backend]]:
    """Makes back ends of one kind, each with data of its own."""
    made: list[Backend] = []
    numbers = count(1)

    def new() -> Backend:
        if request.param == "mongo":
            made.append(MongoBackend(request.getfixturevalue("new_mongo")()))
        else:
            made.append(SqliteBackend(tmp_path / str(next(numbers))))
        return made[-1]

    yield new
    for backend in made:
        backend.close()


@pytest.fixture
def backend(new_backend: Callable[[], Backend]) -> Backend:
    return new_backend()


@pytest.fixture
def store(backend: Backend) -> MarketStore:
    return backend.open()


@pytest.fixture
def mongo(new_mongo: Callable[[], str]) -> Iterator[MongoBackend]:
    """For what only MongoDB does."""
    backend = MongoBackend(new_mongo())
    yield backend
    backend.close()
