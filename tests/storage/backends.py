"""The back ends that the contract suite runs on; a new one joins by its id and in `conftest.new_backend`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from data_manager.storage.mongo import MongoMarketStore
from data_manager.storage.protocols import MarketStore
from data_manager.storage.sqlite import SqliteMarketStore
from tests.storage.examples import FixedClock

BACKENDS = ("mongo", "sqlite")


class Backend(Protocol):
    """Opens any number of stores on the same data."""

    def open(self, *, read_only: bool = False, quarantine_max_rows: int = 100_000) -> MarketStore: ...

    def close(self) -> None: ...


class SqliteBackend:
    """Files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "market"
        self._opened: list[SqliteMarketStore] = []

    def open(self, **options: Any) -> SqliteMarketStore:
        store = SqliteMarketStore(self.folder, clock=FixedClock(), **options)
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.close()


class MongoBackend:
    """One database; a store that only reads is one that nobody writes with."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._opened: list[MongoMarketStore] = []

    def open(self, *, read_only: bool = False, **options: Any) -> MongoMarketStore:
        store = MongoMarketStore(self.uri, self.database, clock=FixedClock(), **options)
        self._opened.append(store)
        return store

    @property
    def database(self) -> str:
        return urlsplit(self.uri).path.strip("/")

    def close(self) -> None:
        for store in self._opened:
            store.close()
