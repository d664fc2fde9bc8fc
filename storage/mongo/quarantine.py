"""How many more bad events of a symbol may be kept: counted once, then kept count of."""

from __future__ import annotations

from data_manager.storage.mongo.connection import Connection
from data_manager.storage.records import Quarantined, Symbol
from data_manager.system.clock import Clock

RECOUNT_S = 60.0  # a full quarantine is counted again this often, since the server's TTL tells nobody what it takes


class QuarantineSpace:
    """For the one thread that writes. A few rows more may be kept when two processes write one symbol."""

    def __init__(self, connection: Connection, clock: Clock, max_rows: int) -> None:
        self._connection = connection
        self._clock = clock
        self._max_rows = max_rows
        self._held: dict[Symbol, tuple[int, float]] = {}  # rows, and when they were counted

    def free(self, symbol: Symbol) -> int:
        """How many rows may be added."""
        now = self._clock.monotonic()
        rows, counted_at = self._held.get(symbol, (self._max_rows, now - RECOUNT_S))
        if rows >= self._max_rows > 0 and now - counted_at >= RECOUNT_S:
            collection = self._connection.collection(Quarantined.dataset)
            rows = collection.count_documents({"symbol": symbol}, limit=self._max_rows)
            self._held[symbol] = rows, now
        return max(0, self._max_rows - rows)

    def taken(self, symbol: Symbol, rows: int) -> None:
        """So many were added."""
        held, counted_at = self._held[symbol]
        self._held[symbol] = held + rows, counted_at

    def forget(self, symbol: Symbol) -> None:
        """Count again next time; after rows have gone."""
        self._held.pop(symbol, None)
