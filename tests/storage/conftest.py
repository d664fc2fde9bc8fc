from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.storage.protocols import MarketStore
from tests.storage.backends import BACKENDS, Backend


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    backend = BACKENDS[request.param](tmp_path)
    yield backend
    backend.close()


@pytest.fixture
def store(backend: Backend) -> MarketStore:
    return backend.open()
