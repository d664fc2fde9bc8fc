"""SQLite files that are locked, full, damaged, read-only, replaced or too new; and how they lie on disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data_manager.storage.protocols import Query, Write
from data_manager.storage.records import (
    ALL_SYMBOLS,
    MARKET_RECORDS,
    Analytics,
    Candle,
    Depth,
    Record,
    Series,
    Symbol,
    Ticker,
    Trade,
)
from data_manager.storage.sqlite import SqliteMarketStore, expiring
from data_manager.storage.sqlite.errors import store_error
from data_manager.storage.sqlite.files import MAX_OPEN
from data_manager.storage.sqlite.reading import _matching
from data_manager.storage.sqlite.tables import SCHEMA_VERSION, TABLES
from data_manager.system.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable
from tests.storage.examples import BTC, T0, FixedClock, depth, document, received, trade

Open = Callable[..., SqliteMarketStore]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "market with spaces?#%"


@pytest.fixture
def file(folder: Path) -> Path:
    return folder / "BTCUSDT.sqlite3"


@pytest.fixture
def open_store(folder: Path) -> Iterator[Open]:
    opened: list[SqliteMarketStore] = []

    def open_one(**options: object) -> SqliteMarketStore:
        opened.append(SqliteMarketStore(folder, clock=FixedClock(), **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


def all_ids(store: SqliteMarketStore) -> list[int]:
    return [row.trade_id for row in store.rows(BTC, Trade, Query(limit=10**6))]


def pragma(file: Path, name: str) -> object:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        connection.close()


def test_a_file_is_a_wal_that_can_shrink_and_names_its_format(open_store: Open, file: Path) -> None:
    open_store().write(BTC, received(trade(1)))
    assert pragma(file, "journal_mode") == "wal"
    assert pragma(file, "auto_vacuum") == 2
    assert pragma(file, "user_version") == SCHEMA_VERSION
    assert pragma(file, "integrity_check") == "ok"


@pytest.mark.parametrize(("synchronous", "value"), [("NORMAL", 1), ("FULL", 2)])
def test_synchronous_is_what_was_asked_for(open_store: Open, synchronous: str, value: int) -> None:
    store = open_store(synchronous=synchronous)
    with store._files.writing(BTC) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (value,)


def test_a_locked_file_is_unavailable_and_the_same_write_succeeds_later(open_store: Open, file: Path) -> None:
    store = open_store(timeout_s=0.05)
    store.write(BTC, received(trade(1)))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="another process is writing"):
        store.write(BTC, received(trade(2)))
    assert all_ids(store) == [1]
    assert all_ids(open_store(read_only=True)) == [1]
    other.execute("ROLLBACK")
    other.close()
    assert store.write(BTC, received(trade(2))).new_trades == 1


def test_writers_that_read_before_they_write_wait_for_each_other(open_store: Open) -> None:
    stores, problems = [open_store(), open_store()], []

    def raise_the_update_id(store: SqliteMarketStore) -> None:
        try:
            for update_id in range(150):
                store.write(BTC, received(depth(1, update_id)))
        except StoreError as error:  # a thread would swallow it
            problems.append(error)

    threads = [threading.Thread(target=raise_the_update_id, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    assert [row.last_update_id for row in stores[0].rows(BTC, Depth, Query())] == [149]
    total = stores[0].ledger(BTC).total
    assert (total.received, total.stored + total.replaced) == (300, 150)


def test_a_readers_connection_cannot_write(open_store: Open) -> None:
    open_store().write(BTC, received(trade(1)))
    with open_store(read_only=True)._files.reading(BTC) as connection:
        assert connection is not None
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM trades")


def test_a_full_file_is_full_and_takes_the_write_when_there_is_room(open_store: Open, file: Path) -> None:
    store = open_store()
    store.write(BTC, received(trade(1)))
    before = store.ledger(BTC)
    with store._files.writing(BTC) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    big = received(*map(trade, range(2, 3000)))
    with pytest.raises(StoreFull, match="no space is left"):
        store.write(BTC, big)
    assert store.ledger(BTC) == before
    assert store.write(BTC, big).new_trades == 2998  # the connection with the limit is gone
    assert pragma(file, "integrity_check") == "ok"


def test_a_file_that_cannot_be_written_is_unavailable_until_it_can(open_store: Open, file: Path) -> None:
    store = open_store()
    store.write(BTC, received(trade(1)))
    store.close()
    set_write_version(file, 3)  # of a SQLite to come: this one may read the file only
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        store.write(BTC, received(trade(2)))
    set_write_version(file, 2)
    assert store.write(BTC, received(trade(2))).new_trades == 1
    assert all_ids(store) == [1, 2]


def set_write_version(file: Path, version: int) -> None:
    with file.open("r+b") as handle:
        handle.seek(18)
        handle.write(bytes([version]))


def test_a_file_of_a_newer_version_is_refused_with_both_numbers(open_store: Open, file: Path) -> None:
    open_store().write(BTC, received(trade(1)))
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(StoreCorrupt, match=f"format {SCHEMA_VERSION + 1}, this version reads up to"):
            open_store(read_only=read_only).rows(BTC, Trade, Query())
    with pytest.raises(StoreCorrupt, match="install the version that wrote it"):
        open_store().write(BTC, received(trade(2)))
    assert pragma(file, "user_version") == SCHEMA_VERSION + 1


def as_version_1(file: Path) -> None:
    """What was made before there were documents of analytics."""
    connection = sqlite3.connect(file)
    connection.execute("DROP TABLE analytics")
    connection.execute("PRAGMA user_version = 1")
    connection.close()


def test_a_file_of_an_older_version_is_changed_by_the_first_writer_and_keeps_its_rows(
    open_store: Open, file: Path
) -> None:
    open_store().write(BTC, received(trade(1)))
    as_version_1(file)
    reader = open_store(read_only=True)
    with pytest.raises(StoreUnavailable, match="older format 1"):
        reader.rows(BTC, Trade, Query())
    assert pragma(file, "user_version") == 1
    assert all_ids(open_store()) == [1]
    assert pragma(file, "user_version") == SCHEMA_VERSION
    open_store().write(BTC, Write(side=[document()]))
    assert reader.rows(BTC, Analytics, Query()) == [document()]
    assert all_ids(reader) == [1]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database_is_damaged_and_left_as_it_is(
    open_store: Open, folder: Path, file: Path, read_only: bool
) -> None:
    folder.mkdir()
    file.write_bytes(b"not a database, but long enough to look for a header " * 40)
    before = file.read_bytes()
    with pytest.raises(StoreCorrupt, match="damaged"):
        open_store(read_only=read_only).rows(BTC, Trade, Query())
    with pytest.raises(StoreCorrupt, match="damaged"):
        open_store().write(BTC, received(trade(1)))
    assert file.read_bytes() == before


def test_damaged_pages_are_reported_and_do_not_touch_other_symbols(open_store: Open, file: Path) -> None:
    store = open_store()
    store.write(BTC, received(*map(trade, range(3000))))
    store.close()
    with file.open("r+b") as handle:
        handle.seek(8192)
        handle.write(b"\xff" * (file.stat().st_size - 8192))
    with pytest.raises(StoreCorrupt, match="restore it from a backup"):
        all_ids(store)
    assert store.write(Symbol("ETHUSDT"), received(trade(1))).new_trades == 1


def test_an_empty_file_is_empty_to_readers_and_filled_by_the_writer(open_store: Open, folder: Path, file: Path) -> None:
    folder.mkdir()
    file.touch()
    reader = open_store(read_only=True)
    assert all_ids(reader) == []
    open_store().write(BTC, received(trade(1)))
    assert all_ids(reader) == [1]


def test_a_file_that_was_replaced_is_opened_anew(open_store: Open, file: Path) -> None:
    store, reader = open_store(), open_store(read_only=True)
    store.write(BTC, received(trade(1)))
    assert all_ids(reader) == [1]
    for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        os.remove(name)
    assert all_ids(reader) == []
    assert store.write(BTC, received(trade(2))).new_trades == 1
    assert all_ids(reader) == [2]


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = SqliteMarketStore(tmp_path / "file" / "market", clock=FixedClock())
    for attempt in (store.check, store.symbols, lambda: store.write(BTC, Write())):
        with pytest.raises(StoreUnavailable):
            attempt()


def test_check_fails_while_another_process_keeps_the_store_locked(open_store: Open, folder: Path) -> None:
    store = open_store(timeout_s=0.05)
    store.check()
    other = sqlite3.connect(folder / f"{ALL_SYMBOLS}.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        store.check()
    open_store(read_only=True).check()
    other.close()
    store.check()


def test_a_disk_that_is_nearly_full_takes_no_rows_but_serves_and_expires_them(open_store: Open) -> None:
    open_store().write(BTC, received(trade(1), trade(2, stored_ms=T0 + 1)))
    writer, reader = open_store(min_free_bytes=2**62), open_store(min_free_bytes=2**62, read_only=True)
    for attempt in (lambda: writer.write(BTC, received(trade(3))), writer.check, reader.check):
        with pytest.raises(StoreFull, match=r"^\d+ MiB are left for .*: free some space"):
            attempt()
    assert all_ids(reader) == [1, 2]
    assert writer.expire(Series(BTC, Trade), T0 + 1) == 1
    assert all_ids(reader) == [2]
    assert open_store().write(BTC, received(trade(3))).new_trades == 1
    assert reader.ledger(BTC).total.received == 3


def test_what_is_left_is_what_the_file_system_says(open_store: Open, folder: Path) -> None:
    store = open_store()
    with pytest.raises(StoreUnavailable):
        store.free_bytes()
    store.write(BTC, received(trade(1)))
    assert abs(store.free_bytes() - shutil.disk_usage(folder).free) < 2**30


def test_a_reader_fails_its_check_without_a_folder(open_store: Open) -> None:
    with pytest.raises(StoreUnavailable):
        open_store(read_only=True).check()


def test_no_more_files_are_open_than_the_limit(open_store: Open) -> None:
    symbols = [Symbol(f"S{n}USDT") for n in range(MAX_OPEN + 8)]
    store, reader = open_store(), open_store(read_only=True)
    before = len(os.listdir("/proc/self/fd"))
    for symbol in symbols:
        store.write(symbol, received(trade(1)))
    for symbol in symbols:
        assert len(reader.rows(symbol, Trade, Query())) == 1
    assert len(os.listdir("/proc/self/fd")) - before <= 2 * 3 * MAX_OPEN
    assert len(store._files._open) == len(reader._files._open) == MAX_OPEN
    assert store.symbols() == sorted(symbols)
    assert store.write(symbols[0], received(trade(2))).new_trades == 1  # one that had been closed


def test_space_of_expired_rows_goes_back_to_the_disk_beyond_what_is_kept(
    open_store: Open, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "FREE_PAGES_KEPT", 10)
    store = open_store()
    store.write(BTC, received(*map(trade, range(5000))))
    pages = int(str(pragma(file, "page_count")))
    while store.expire(Series(BTC, Trade), T0 + 1):
        pass
    assert int(str(pragma(file, "page_count"))) < pages / 3
    assert int(str(pragma(file, "freelist_count"))) <= 10


def test_a_row_that_took_the_place_of_an_old_one_is_not_deleted_for_it(open_store: Open) -> None:
    """Between the look and the deletion another process may expire rows, and SQLite gives their ids again."""
    store, series = open_store(), Series(BTC, Trade)
    store.write(BTC, received(trade(1)))
    with store._files.reading(BTC) as connection:
        assert connection is not None
        rows = expiring.due(connection, series, T0 + 1, limit=10)
    assert store.expire(series, T0 + 1) == 1
    store.write(BTC, received(trade(2, stored_ms=T0 + 1)))
    with store._files.writing(BTC) as connection:
        assert connection.execute("SELECT rowid FROM trades").fetchall() == [(row,) for row in rows]
        assert expiring.delete(connection, series, T0 + 1, rows) == 0
    assert all_ids(store) == [2]


QUERIES = [
    (Trade, Query(equal=(("kind", "trade"),))),
    (Trade, Query(start_ms=T0, end_ms=T0 + 9)),
    (Trade, Query(descending=True)),
    (Candle, Query(equal=(("timeframe", "1m"),), descending=True)),
    (Candle, Query(start_ms=T0)),
    (Ticker, Query(descending=True)),
    *((record, Query(start_ms=T0, descending=True)) for record in MARKET_RECORDS),
]


@pytest.mark.parametrize(("record", "query"), QUERIES, ids=lambda value: getattr(value, "__name__", ""))
def test_no_page_scans_or_sorts_its_table(open_store: Open, record: type[Record], query: Query) -> None:
    store, table = open_store(), TABLES[record]
    store.write(BTC, received(trade(1), trade(2, kind="aggTrade")))
    with store._files.writing(BTC) as connection:
        source = _matching(connection, table, query, table.select)
        if source is None:  # an empty table: nothing is read at all
            return
        order = ", ".join(f'"{column}"{" DESC" * query.descending}' for column in table.order)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {source[0]} ORDER BY {order} LIMIT 5", source[1]).fetchall()
    steps = [step[3] for step in plan]
    assert not any("TEMP B-TREE" in step for step in steps), steps
    assert not any(step.startswith("SCAN") and "USING" not in step for step in steps), steps


def test_full_books_keep_their_levels_in_order(open_store: Open) -> None:
    levels = tuple((f"{price}.10", "0.001") for price in range(20))
    book = Depth(1, T0, 7, levels, levels[::-1], 1, 1, T0)
    store = open_store()
    store.write(BTC, received(book, book=book))
    assert store.rows(BTC, Depth, Query()) == [book]
    assert store.latest_book(BTC) == book


@pytest.mark.parametrize(("code", "kind"), [
    (sqlite3.SQLITE_BUSY, StoreUnavailable),
    (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailable),
    (sqlite3.SQLITE_IOERR_SHORT_READ, StoreUnavailable),
    (sqlite3.SQLITE_READONLY_DBMOVED, StoreUnavailable),
    (sqlite3.SQLITE_CANTOPEN, StoreUnavailable),
    (sqlite3.SQLITE_FULL, StoreFull),
    (sqlite3.SQLITE_CORRUPT_INDEX, StoreCorrupt),
    (sqlite3.SQLITE_NOTADB, StoreCorrupt),
    (sqlite3.SQLITE_ERROR, StoreError),
])  # fmt: skip
def test_each_error_code_tells_who_must_act(code: int, kind: type[StoreError]) -> None:
    error = sqlite3.OperationalError("reason")
    error.sqlite_errorcode = code
    translated = store_error(error, "FILE")
    assert type(translated) is kind
    assert "FILE" in str(translated)
    assert "reason" in str(translated) or kind is StoreFull
