"""SqliteMarketStore: the MarketStore protocol on one SQLite file per symbol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from data_manager.storage.ledger import LedgerTotals
from data_manager.storage.merging import mergeable
from data_manager.storage.protocols import COUNT_CAP, Holding, Merged, Query, Write, Written
from data_manager.storage.records import ALL_SYMBOLS, Candle, Depth, Funding, Record, Series, Symbol, Trade
from data_manager.storage.sqlite import expiring, ledger, merging, reading, writing
from data_manager.storage.sqlite.errors import ROW_ERRORS
from data_manager.storage.sqlite.files import SymbolFiles
from data_manager.storage.sqlite.findings import findings
from data_manager.storage.sqlite.holdings import holdings
from data_manager.storage.sqlite.space import Disk, bytes_used
from data_manager.storage.sqlite.tables import BOOK, TABLES
from data_manager.system.clock import Clock
from data_manager.system.errors import RowRefused, StoreError

R = TypeVar("R", bound=Record)

MIN_FREE_BYTES = 64 * 2**20  # a checkpoint and the deletions that make room still fit


class SqliteMarketStore:
    """Market data in `<folder>/<SYMBOL>.sqlite3`, in WAL mode: readers elsewhere never wait for writers.

    A write waits up to `timeout_s` for another process's transaction; a read-only store waits 50 ms, writes
    nothing, and finds a symbol's file when it appears. `synchronous` NORMAL survives any crash of the
    process, FULL a loss of power too. Beyond `quarantine_max_rows` rows of a symbol bad events are counted
    but not kept. With less than `min_free_bytes` left on the disk nothing more is written: StoreFull.
    """

    expires_itself = False  # SQLite deletes nothing by itself: whoever keeps house calls `expire`

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,  # every back end is given one; SQLite itself dates nothing
        synchronous: str = "NORMAL",
        timeout_s: float = 5,
        quarantine_max_rows: int = 100_000,
        min_free_bytes: int = MIN_FREE_BYTES,
        read_only: bool = False,
    ) -> None:
        self._files = SymbolFiles(folder, synchronous=synchronous, timeout_s=timeout_s, read_only=read_only)
        self._disk = Disk(folder, min_free_bytes)
        self._quarantine_max_rows = quarantine_max_rows

    def write(self, symbol: Symbol, write: Write) -> Written:
        """Write all of it, or nothing; rows, quarantine and ledger stand or fall together.

        Raises RowRefused for a row the store can never take, StoreUnavailable when trying again may help.
        """
        try:
            with self._files.writing(symbol) as connection:
                self._disk.require_space()  # before each write: it takes 2 µs
                return writing.apply(connection, write, self._quarantine_max_rows)
        except ROW_ERRORS as error:
            raise self._refusal(symbol, write, error) from error

    def _refusal(self, symbol: Symbol, write: Write, error: Exception) -> StoreError:
        """Which event was refused: found by writing them one by one, in a transaction that is undone."""
        with self._files.writing(symbol, keep=False) as connection:
            for index, event in enumerate(write.events):
                try:
                    writing.write_events(connection, [event], self._quarantine_max_rows)
                except ROW_ERRORS as refused:
                    return RowRefused(index, f"the store refuses a row of {event.record.dataset}: {refused}")
        return StoreError(f"the store refuses what was derived for {symbol}, not an event: {error}")

    def merge(self, symbol: Symbol, rows: Sequence[Trade] | Sequence[Candle] | Sequence[Funding]) -> Merged:
        """Bring rows of the exchange's REST side together with those stored, in one transaction or not at all.

        Raises RowRefused for a row the store can never take, StoreUnavailable when trying again may help.
        """
        self._files.require_writable(symbol)
        if not mergeable(rows):
            return Merged()
        try:
            with self._files.writing(symbol) as connection:
                self._disk.require_space()
                return merging.merge(connection, rows)
        except ROW_ERRORS as error:
            raise self._merge_refusal(symbol, rows, error) from error

    def _merge_refusal(self, symbol: Symbol, rows: Sequence[Record], error: Exception) -> StoreError:
        """Which row was refused, found as for events."""
        with self._files.writing(symbol, keep=False) as connection:
            for index, row in enumerate(rows):
                try:
                    merging.merge(connection, [row])
                except ROW_ERRORS as refused:
                    return RowRefused(index, f"the store refuses a row of {row.dataset}: {refused}")
        return StoreError(f"the store refuses rows of {symbol} together and none alone: {error}")

    def seen_positions(self, symbol: Symbol, incarnation: int, positions: Iterable[int]) -> set[int]:
        """Those of the feed positions that some kept batch brought before."""
        with self._files.reading(symbol) as connection:
            return ledger.seen(connection, incarnation, positions) if connection else set()

    def ledger(self, symbol: Symbol) -> LedgerTotals:
        """The symbol's totals; all zero when it has never been written."""
        with self._files.reading(symbol) as connection:
            return ledger.totals(connection) if connection else LedgerTotals({}, 0, 0, 0, 0)

    def rows(self, symbol: Symbol, record: type[R], query: Query) -> list[R]:
        """The rows that match, at most `query.limit`; empty for an unknown symbol."""
        with self._files.reading(symbol) as connection:
            return reading.page(connection, TABLES[record], query) if connection else []

    def count(self, symbol: Symbol, record: type[Record], query: Query, cap: int = COUNT_CAP) -> int:
        """How many rows match without limit and offset, counted no further than `cap`."""
        with self._files.reading(symbol) as connection:
            return reading.count(connection, TABLES[record], query, cap) if connection else 0

    def trades_between(self, symbol: Symbol, start_ms: int, end_ms: int) -> list[Trade]:
        """Every trade and aggTrade with `start_ms <= time_ms < end_ms`, by time and id."""
        with self._files.reading(symbol) as connection:
            return reading.trades_between(connection, start_ms, end_ms) if connection else []

    def neighbours(
        self, symbol: Symbol, start_ms: int, end_ms: int
    ) -> tuple[Trade | None, Trade | None, Trade | None, Trade | None]:
        """The raw trade and the aggTrade nearest before `start_ms`, then those at or after `end_ms`."""
        with self._files.reading(symbol) as connection:
            if connection is None:
                return None, None, None, None
            return reading.neighbours(connection, start_ms, end_ms)

    def dirty_minutes(self, symbol: Symbol) -> set[int]:
        """Minutes whose bar must be derived again."""
        with self._files.reading(symbol) as connection:
            if connection is None:
                return set()
            rows = connection.execute("SELECT open_time FROM dirty_minutes").fetchall()
        return {minute for (minute,) in rows}

    def latest_book(self, symbol: Symbol) -> Depth | None:
        """The newest book ever received."""
        with self._files.reading(symbol) as connection:
            row = connection.execute(BOOK.select).fetchone() if connection else None
        return BOOK.record_of(row) if row else None

    def symbols(self) -> Sequence[Symbol]:
        """Every symbol that holds data, sorted; ALL_SYMBOLS is not one."""
        return self._files.symbols()

    def expire(self, series: Series, stored_before_ms: int, limit: int = 1000) -> int:
        """Delete rows stored before that time, at most `limit` in one transaction; return how many.

        Looks for them before it takes the write lock, and does so with a full disk too: that makes room.
        """
        self._files.require_writable(series.symbol)
        with self._files.reading(series.symbol) as connection:
            due = expiring.due(connection, series, stored_before_ms, limit) if connection else []
        if not due:
            return 0
        with self._files.writing(series.symbol) as connection:
            deleted = expiring.delete(connection, series, stored_before_ms, due)
            expiring.give_back(connection)
        return deleted

    def holdings(self, symbol: Symbol) -> list[Holding]:
        """Every series of the symbol that has rows, in the order of `all_series_of`, counted exactly: may take long."""
        with self._files.reading(symbol) as connection:
            return holdings(connection, symbol) if connection else []

    def data_bytes(self) -> int:
        """The pages in use of all files, with indexes; a damaged file counts as long as it is."""
        return bytes_used(self._files)

    def free_bytes(self) -> int:
        """What is left for it on its disk."""
        return self._disk.free_bytes()

    def findings(self) -> list[str]:
        """What is not as it should be and will not mend itself, one sentence each; empty when all is well."""
        return findings(self._files)

    def check(self, symbol: Symbol = ALL_SYMBOLS) -> None:
        """Return when the store, and the symbol's file if there is one, can be read and written now.

        Raises StoreError otherwise. A read-only store judges writing by its folder's file system; a writer commits a
        transaction.
        """
        if not self._files.path(symbol).exists():
            symbol = ALL_SYMBOLS
        if not self._files.read_only:
            with self._files.writing(symbol) as connection:
                connection.execute("UPDATE head SET routed_through = routed_through")
        self._disk.require_writable()
        self._disk.require_space()
        self.ledger(symbol)

    def close(self) -> None:
        """Release files and connections; harmless when repeated."""
        self._files.close()
