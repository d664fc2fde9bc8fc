"""MongoMarketStore: the MarketStore protocol on one MongoDB database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from bson.datetime_ms import DatetimeMS
from pymongo.database import Database

from data_manager.storage.ledger import LedgerTotals
from data_manager.storage.merging import mergeable
from data_manager.storage.mongo import merging, reading
from data_manager.storage.mongo.connection import Connection
from data_manager.storage.mongo.documents import DOCUMENTS, Document
from data_manager.storage.mongo.ledger import STATES, Ledger
from data_manager.storage.mongo.prepared import PreparedCollections
from data_manager.storage.mongo.quarantine import QuarantineSpace
from data_manager.storage.mongo.writing import SymbolWrite
from data_manager.storage.protocols import COUNT_CAP, Holding, Merged, Query, Write, Written
from data_manager.storage.records import (
    ALL_SYMBOLS,
    Candle,
    Depth,
    Funding,
    Quarantined,
    Record,
    Series,
    Symbol,
    Trade,
    all_series_of,
)
from data_manager.storage.retention import Retention
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import StoreError
from data_manager.system.settings import is_symbol

R = TypeVar("R", bound=Record)


class MongoMarketStore:
    """Market data in MongoDB, without transactions: a write may stop anywhere, and is repeated (mongo/writing.py).

    Connects at its first call. Reads are safe from several threads at once; writes come from one. A server that
    is away is reported within about two seconds, an answer is awaited `timeout_s`, and so is the end of a write.
    Rows are deleted by the server itself where a retention is given. Beyond `quarantine_max_rows` rows of a symbol
    bad events are counted but not kept.
    """

    def __init__(
        self,
        url: str,
        database: str,
        *,
        clock: Clock,
        write_concern: str = "majority",
        timeout_s: float = 5,
        quarantine_max_rows: int = 100_000,
        retention: Retention | None = None,
    ) -> None:
        self._connection = Connection(url, database, write_concern=write_concern, timeout_s=timeout_s)
        self._clock = clock
        self._retention = retention
        self._collections = PreparedCollections(self._connection, retention)
        self._ledger = Ledger(self._connection, clock)
        self._space = QuarantineSpace(self._connection, clock, quarantine_max_rows)

    @property
    def expires_itself(self) -> bool:
        """Whether a retention was given: TTL indexes then delete what is too old."""
        return self._retention is not None

    def write(self, symbol: Symbol, write: Write) -> Written:
        """Write all of it; after an error the same call may be repeated, and completes what was begun.

        Raises RowRefused for a row the store can never take, StoreUnavailable when trying again may help.
        """
        with self._symbol(symbol), self._connection.in_time():
            return SymbolWrite(self._collections, self._ledger, self._space, symbol, write).apply()

    def merge(self, symbol: Symbol, rows: Sequence[Trade] | Sequence[Candle] | Sequence[Funding]) -> Merged:
        """Bring rows of the exchange's REST side together with those stored; after an error the call may be repeated.

        Raises RowRefused for a row the store can never take, StoreUnavailable when trying again may help.
        """
        with self._symbol(symbol), self._connection.in_time():
            return merging.merge(self._collections, symbol, rows) if mergeable(rows) else Merged()

    def seen_positions(self, symbol: Symbol, incarnation: int, positions: Iterable[int]) -> set[int]:
        """Those of the feed positions that some kept batch brought before."""
        with self._symbol(symbol):
            return self._ledger.seen(symbol, incarnation, positions)

    def ledger(self, symbol: Symbol) -> LedgerTotals:
        """The symbol's totals; all zero when it has never been written."""
        with self._symbol(symbol):
            return self._ledger.totals(symbol)

    def rows(self, symbol: Symbol, record: type[R], query: Query) -> list[R]:
        """The rows that match, at most `query.limit`; empty for an unknown symbol."""
        with self._symbol(symbol) as database:
            return reading.page(database, symbol, record, query)

    def count(self, symbol: Symbol, record: type[Record], query: Query, cap: int = COUNT_CAP) -> int:
        """How many rows match without limit and offset, counted no further than `cap`."""
        with self._symbol(symbol) as database:
            return reading.count(database, symbol, record, query, cap)

    def trades_between(self, symbol: Symbol, start_ms: int, end_ms: int) -> list[Trade]:
        """Every trade and aggTrade with `start_ms <= time_ms < end_ms`, by time and id."""
        with self._symbol(symbol) as database:
            return reading.trades_between(database, symbol, start_ms, end_ms)

    def neighbours(self, symbol: Symbol, start_ms: int, end_ms: int) -> reading.Neighbours:
        """The raw trade and the aggTrade nearest before `start_ms`, then those at or after `end_ms`."""
        with self._symbol(symbol) as database:
            return reading.neighbours(database, symbol, start_ms, end_ms)

    def dirty_minutes(self, symbol: Symbol) -> set[int]:
        """Minutes whose bar must be derived again."""
        with self._symbol(symbol) as database:
            state = database[STATES].find_one({"_id": symbol}, {"dirty_minutes": 1}) or {}
            return {int(minute) for minute in state.get("dirty_minutes", ())}

    def latest_book(self, symbol: Symbol) -> Depth | None:
        """The newest book ever received."""
        with self._symbol(symbol) as database:
            state = database[STATES].find_one({"_id": symbol}, {"book": 1}) or {}
            book: Depth | None = DOCUMENTS[Depth].record_of(state["book"]) if "book" in state else None
            return book

    def symbols(self) -> Sequence[Symbol]:
        """Every symbol that holds data, sorted; ALL_SYMBOLS is not one."""
        with self._connection.using() as database:
            names = [state["_id"] for state in database[STATES].find({}, {"_id": 1})]
        return sorted(Symbol(name) for name in names if is_symbol(name))

    def expire(self, series: Series, stored_before_ms: int, limit: int = 1000) -> int:
        """Delete rows stored before that time, the oldest first, at most `limit`; return how many."""
        with self._symbol(series.symbol) as database:
            name, ids = reading.expired(database, series, stored_before_ms, limit)
            if not ids:
                return 0
            # a row that was replaced meanwhile lives on
            old = {"_id": {"$in": ids}, "stored_at": {"$lt": DatetimeMS(stored_before_ms)}}
            deleted = database[name].delete_many(old).deleted_count
        if series.record is Quarantined:
            self._space.forget(series.symbol)
        return deleted

    def holdings(self, symbol: Symbol) -> list[Holding]:
        """Every series of the symbol that has rows, in the order of `all_series_of`, counted exactly: may take long."""
        with self._symbol(symbol) as database:
            held = [reading.holding(database, series) for series in all_series_of(symbol)]
        return [holding for holding in held if holding is not None]

    def data_bytes(self) -> int:
        """The logical size of the database, uncompressed and without indexes, as hosted clusters bill it."""
        with self._connection.using() as database:
            return int(database.command("dbStats")["dataSize"])

    def free_bytes(self) -> int | None:
        """None: the server keeps the state of its disks to itself, and a hosted one its quota."""
        return None

    def findings(self) -> list[str]:
        """Indexes that stand in the way of those wanted here, one sentence each; empty when all is well."""
        symbols = [*self.symbols(), ALL_SYMBOLS]
        with self._connection.using():
            return self._collections.findings(symbols)

    def check(self, symbol: Symbol = ALL_SYMBOLS) -> None:
        """Return when the store can be read and written now, by its write concern; raise StoreError otherwise."""
        with self._symbol(symbol) as database, self._connection.in_time():
            now = {"$set": {"checked_at": DatetimeMS(now_ms(self._clock))}}
            database[STATES].update_one({"_id": ALL_SYMBOLS}, now, upsert=True)
            database[STATES].find_one({"_id": ALL_SYMBOLS}, {"checked_at": 1})

    def close(self) -> None:
        """Release connections; harmless when repeated."""
        self._connection.close()

    @contextmanager
    def _symbol(self, symbol: Symbol) -> Iterator[Database[Document]]:
        """The database; raises StoreError for what cannot be a symbol, and so would be another collection."""
        if symbol != ALL_SYMBOLS and not is_symbol(symbol):
            raise StoreError(f"{symbol!r} is no symbol and has no collections")
        with self._connection.using() as database:
            yield database
