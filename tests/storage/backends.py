"""The back ends that the contract suite runs on, by id. A new one joins by adding its class to BACKENDS."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from data_manager.storage.protocols import MarketStore
from data_manager.storage.sqlite import SqliteMarketStore
from tests.storage.examples import FixedClock


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


BACKENDS: dict[str, type[SqliteBackend]] = {"sqlite": SqliteBackend}
