"""Rows that are too old go, a bounded number at a time, so that no writer ever waits for the broom."""

from __future__ import annotations

from data_manager.storage.protocols import MarketStore
from data_manager.storage.records import Record, Symbol
from data_manager.system.clock import Clock, now_ms

DAY_MS = 86_400_000
EVERY_S = 600.0  # between two sweeps that found little
ROWS = 1000  # deleted by one call; a call that finds as many leaves the next one due at once


class Sweep:
    """Keeps one dataset of one symbol within its days, counted from when a row was stored."""

    def __init__(self, store: MarketStore, symbol: Symbol, record: type[Record], days: int, clock: Clock) -> None:
        self._store, self._symbol, self._record, self._days = store, symbol, record, days
        self._clock = clock
        self._due = clock.monotonic()

    def run(self) -> int:
        """Delete at most ROWS rows if it is time; how many went. Raises StoreError."""
        if self._clock.monotonic() < self._due:
            return 0
        before = now_ms(self._clock) - self._days * DAY_MS
        expired = self._store.expire(self._symbol, self._record, before, ROWS)
        self._due = self._clock.monotonic() + (EVERY_S if expired < ROWS else 0)
        return expired
