"""Candles of the extractor's MySQL tables, and a market store that has its candles from there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Select, column, func, select
from sqlalchemy.exc import DBAPIError

from data_manager.storage.database import TIMEOUT_S, Database
from data_manager.storage.database_errors import mysql_code
from data_manager.storage.klines_tables import LENGTHS, Bars, candle_of, find_bars
from data_manager.storage.ledger import LedgerTotals
from data_manager.storage.protocols import COUNT_CAP, Holding, MarketStore, Merged, Query, Write, Written
from data_manager.storage.records import ALL_SYMBOLS, Candle, Depth, Funding, Record, Series, Source, Symbol, Trade
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import StoreError

R = TypeVar("R", bound=Record)
T = TypeVar("T")

MIXED_COLLATIONS = 1267  # MySQL's code when a text cannot be compared with a column

FIXED: dict[str, object] = {"source": Source.REST.value, "complete": True}  # what every bar of such a table is


class KlinesCandles:
    """The closed bars of `klines_*` in the MySQL database at `url`; in read-only transactions.

    A table that is not there has no rows.
    """

    def __init__(
        self, url: str, *, clock: Clock, timeout_s: float = TIMEOUT_S, rng: random.Random | None = None
    ) -> None:
        self._database = Database(url, timeout_s=timeout_s, rng=rng, read_only=True)
        self._clock = clock
        self._known: dict[str, Bars] = {}  # by timeframe

    def rows(self, symbol: Symbol, query: Query) -> list[Candle]:
        """The bars that match, at most `query.limit`; raises StoreError unless the query names a timeframe."""
        timeframe = timeframe_of(query)

        def page(connection: Connection, bars: Bars, matching: Select[Any]) -> list[Candle]:
            open_time = bars.columns["open_time"]
            wanted = (
                matching.with_only_columns(*(each.label(field) for field, each in bars.columns.items()))
                .order_by(open_time.desc() if query.descending else open_time)
                .limit(max(query.limit, 0))
                .offset(query.offset)
            )
            return [candle_of(timeframe, row) for row in connection.execute(wanted).mappings()]

        return self._read(symbol, query, page, [])

    def count(self, symbol: Symbol, query: Query, cap: int = COUNT_CAP) -> int:
        """How many bars match without limit and offset, counted no further than `cap`; raises as `rows`."""

        def count(connection: Connection, _: Bars, matching: Select[Any]) -> int:
            return connection.scalar(select(func.count()).select_from(matching.limit(cap).subquery())) or 0

        return self._read(symbol, query, count, 0)

    def close(self) -> None:
        """Release connections; harmless when repeated."""
        self._database.close()

    def _read(self, symbol: Symbol, query: Query, work: Callable[[Connection, Bars, Select[Any]], T], nothing: T) -> T:
        """The result of `work` on the statement for the bars that match; `nothing` where there cannot be any."""
        timeframe = timeframe_of(query)

        def read(connection: Connection) -> T:
            bars = self._bars(connection, timeframe)
            if bars is None or not _possible(query):
                return nothing
            try:
                return work(connection, bars, self._matching(bars, symbol, timeframe, query))
            except DBAPIError as error:
                if mysql_code(error.orig) == MIXED_COLLATIONS:
                    return nothing  # the table is of a character set that has no such letters
                raise

        try:
            return self._database.run(read)
        except StoreError:
            self._known.clear()  # a column may be gone
            raise

    def _bars(self, connection: Connection, timeframe: str) -> Bars | None:
        if timeframe not in self._known:
            found = find_bars(connection, timeframe)
            if found is None:
                return None  # it may be made later
            self._known[timeframe] = found
        return self._known[timeframe]

    def _matching(self, bars: Bars, symbol: Symbol, timeframe: str, query: Query) -> Select[Any]:
        open_time = bars.columns["open_time"]
        closed = open_time <= now_ms(self._clock) - LENGTHS[timeframe]
        matching = select(open_time).select_from(bars.table).where(column("symbol") == symbol, closed)
        if query.start_ms is not None:
            matching = matching.where(open_time >= query.start_ms)
        if query.end_ms is not None:
            matching = matching.where(open_time < query.end_ms)
        return matching


class CandlesElsewhere:
    """Reads candles where the extractor writes them, and asks the store for everything else.

    For readers: what is written, held, expired and checked is the store's own.
    """

    def __init__(self, store: MarketStore, klines: KlinesCandles) -> None:
        self._store = store
        self._klines = klines

    def rows(self, symbol: Symbol, record: type[R], query: Query) -> list[R]:
        """The rows that match; of candles the extractor's, whose timeframe the query must name."""
        if record is Candle:
            return cast("list[R]", self._klines.rows(symbol, query))
        return self._store.rows(symbol, record, query)

    def count(self, symbol: Symbol, record: type[Record], query: Query, cap: int = COUNT_CAP) -> int:
        """How many rows match; of candles the extractor's, whose timeframe the query must name."""
        if record is Candle:
            return self._klines.count(symbol, query, cap)
        return self._store.count(symbol, record, query, cap)

    @property
    def expires_itself(self) -> bool:
        """As the store."""
        return self._store.expires_itself

    def write(self, symbol: Symbol, write: Write) -> Written:
        """As the store."""
        return self._store.write(symbol, write)

    def merge(self, symbol: Symbol, rows: Sequence[Trade] | Sequence[Candle] | Sequence[Funding]) -> Merged:
        """As the store."""
        return self._store.merge(symbol, rows)

    def seen_positions(self, symbol: Symbol, incarnation: int, positions: Iterable[int]) -> set[int]:
        """As the store."""
        return self._store.seen_positions(symbol, incarnation, positions)

    def ledger(self, symbol: Symbol) -> LedgerTotals:
        """As the store."""
        return self._store.ledger(symbol)

    def trades_between(self, symbol: Symbol, start_ms: int, end_ms: int) -> list[Trade]:
        """As the store."""
        return self._store.trades_between(symbol, start_ms, end_ms)

    def neighbours(
        self, symbol: Symbol, start_ms: int, end_ms: int
    ) -> tuple[Trade | None, Trade | None, Trade | None, Trade | None]:
        """As the store."""
        return self._store.neighbours(symbol, start_ms, end_ms)

    def dirty_minutes(self, symbol: Symbol) -> set[int]:
        """As the store."""
        return self._store.dirty_minutes(symbol)

    def latest_book(self, symbol: Symbol) -> Depth | None:
        """As the store."""
        return self._store.latest_book(symbol)

    def symbols(self) -> Sequence[Symbol]:
        """As the store."""
        return self._store.symbols()

    def expire(self, series: Series, stored_before_ms: int, limit: int = 1000) -> int:
        """As the store."""
        return self._store.expire(series, stored_before_ms, limit)

    def holdings(self, symbol: Symbol) -> list[Holding]:
        """As the store."""
        return self._store.holdings(symbol)

    def data_bytes(self) -> int:
        """As the store."""
        return self._store.data_bytes()

    def free_bytes(self) -> int | None:
        """As the store."""
        return self._store.free_bytes()

    def findings(self) -> list[str]:
        """As the store."""
        return self._store.findings()

    def check(self, symbol: Symbol = ALL_SYMBOLS) -> None:
        """As the store; the catalog, in the same database as the extractor's tables, is checked as such."""
        self._store.check(symbol)

    def close(self) -> None:
        """Release both; harmless when repeated."""
        self._klines.close()
        self._store.close()


def timeframe_of(query: Query) -> str:
    """The timeframe that the query names; raises StoreError where it names none, or what no bar can be asked for."""
    asked = dict(query.equal)
    timeframe = asked.pop("timeframe", None)
    if not isinstance(timeframe, str):
        raise StoreError("candles in klines_* tables lie by timeframe: ask for one")
    if unknown := sorted(asked.keys() - FIXED.keys()):
        raise StoreError(f"candles in klines_* tables cannot be asked for by {', '.join(unknown)}")
    return timeframe


def _possible(query: Query) -> bool:
    return all(FIXED.get(field, value) == value for field, value in query.equal)
