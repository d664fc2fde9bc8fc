"""What one transaction writes: rows with their outcomes, derived bars, book, dirty minutes and ledger."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from data_manager.storage.deciding import REPLACED, Better, closed_through, derived_better, greater, outcome
from data_manager.storage.ledger import Counts
from data_manager.storage.protocols import Event, Write, Written
from data_manager.storage.records import Candle, Depth, OpenCandle, Quarantined, Record, Source, Trade
from data_manager.storage.sqlite import ledger
from data_manager.storage.sqlite.tables import BOOK, TABLES

Group = tuple[type[Record], str, bool]  # record type, event type, keep_first


def apply(connection: sqlite3.Connection, write: Write, quarantine_max_rows: int) -> Written:
    """Write everything inside the caller's transaction."""
    outcomes, new_trades = write_events(connection, write.events, quarantine_max_rows)
    for record in write.side:
        put(connection, record, better=greater)
    for candle in write.derived:
        put(connection, candle, better=derived_better)
    if write.book is not None:
        _keep_newest_book(connection, write.book)
    # first clean, then dirty: trades that this write brings may belong to a minute it derived without them
    connection.executemany("DELETE FROM dirty_minutes WHERE open_time = ?", _one_each(write.clean_minutes))
    connection.executemany("INSERT OR IGNORE INTO dirty_minutes VALUES (?)", _one_each(write.dirty_minutes))
    counts = dict(write.counts)
    for event_type, delta in outcomes.items():
        counts[event_type] = counts.get(event_type, Counts()) + delta
    ledger.add_counts(connection, counts)
    ledger.add_batches(connection, write.batches)
    return Written(counts, new_trades)


def write_events(
    connection: sqlite3.Connection, events: Sequence[Event], quarantine_max_rows: int
) -> tuple[dict[str, Counts], int]:
    """Write events; return the outcomes by event type and how many trades were new.

    Events are taken together by record type, event type and policy, since one statement for all of them is
    what makes a batch cheap; inside such a group they keep their order.
    """
    groups: defaultdict[Group, list[Record]] = defaultdict(list)
    for event in events:
        groups[type(event.record), event.event_type, event.keep_first].append(event.record)
    outcomes: dict[str, Counts] = {}
    new_trades = 0
    for (record_type, event_type, keep_first), records in groups.items():
        if record_type is Quarantined:
            delta = _quarantine(connection, records, quarantine_max_rows)
        elif keep_first:
            delta = _insert_new(connection, records)
        else:
            delta = _keep_greatest(connection, records)
        if record_type is Candle:
            remove_open_bars(connection, records)
        if record_type is Trade:
            new_trades += delta.stored
        outcomes[event_type] = outcomes.get(event_type, Counts()) + delta
    return outcomes, new_trades


def put(connection: sqlite3.Connection, record: Record, better: Better) -> Counts:
    """Write one record unless the row under its key is as good; `better(record, row)` decides."""
    table = TABLES[type(record)]
    row = connection.execute(table.select_by_key, table.key_of(record)).fetchone()
    if row is None:
        connection.execute(table.insert_new, table.row(record))
        return Counts(stored=1)
    decided = outcome(record, table.record_of(row), better)
    if decided == REPLACED:
        connection.execute(table.replace, table.row(record))
    return Counts(**{decided: 1})


def _insert_new(connection: sqlite3.Connection, records: Sequence[Record]) -> Counts:
    table = TABLES[type(records[0])]
    before = connection.total_changes
    connection.executemany(table.insert_new, table.rows(records))
    stored = connection.total_changes - before
    return Counts(stored=stored, duplicate=len(records) - stored)


def _keep_greatest(connection: sqlite3.Connection, records: Iterable[Record]) -> Counts:
    total = Counts()
    for record in records:
        if isinstance(record, OpenCandle) and _is_closed(connection, record):
            total += Counts(skipped=1)
        else:
            total += put(connection, record, better=greater)
    return total


def _is_closed(connection: sqlite3.Connection, bar: OpenCandle) -> bool:
    closed = "SELECT 1 FROM candles WHERE timeframe = ? AND open_time = ? AND source <> ?"
    return connection.execute(closed, (bar.timeframe, bar.open_time, Source.TRADES)).fetchone() is not None


def remove_open_bars(connection: sqlite3.Connection, closed: Iterable[Record]) -> None:
    """Take away the open bars that these closed ones end."""
    delete = "DELETE FROM open_candles WHERE timeframe = ? AND open_time <= ?"
    connection.executemany(delete, closed_through(closed).items())


def _quarantine(connection: sqlite3.Connection, records: Iterable[Record], max_rows: int) -> Counts:
    table = TABLES[Quarantined]
    (held,) = connection.execute("SELECT quarantine_rows FROM head").fetchone()
    total, rows = Counts(), held
    for record in records:
        if connection.execute(table.select_by_key, table.key_of(record)).fetchone() is not None:
            total += Counts(duplicate=1)
            continue
        if rows < max_rows:
            connection.execute(table.insert_new, table.row(record))
            rows += 1
        total += Counts(quarantined=1)
    if rows != held:
        connection.execute("UPDATE head SET quarantine_rows = ?", (rows,))
    return total


def _keep_newest_book(connection: sqlite3.Connection, book: Depth) -> None:
    row = connection.execute(BOOK.select).fetchone()
    if row is None or book.rank >= BOOK.record_of(row).rank:
        connection.execute("DELETE FROM book")
        connection.execute(BOOK.insert_new, BOOK.row(book))


def _one_each(minutes: Iterable[int]) -> Iterable[tuple[int]]:
    return ((minute,) for minute in minutes)
