"""Deleting what is too old: the rows are found in a read, and deleted by their ids in a short transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from data_manager.storage.records import Quarantined, Series
from data_manager.storage.sqlite.tables import TABLES

FREE_PAGES_KEPT = 4096  # pages that deleted rows leave for new ones; more than these go back to the disk
VACUUM_PAGES = 1000  # given back by one call


def due(connection: sqlite3.Connection, series: Series, stored_before_ms: int, limit: int) -> list[int]:
    """The ids of rows of the series that were stored before that time, at most `limit`.

    Looks at the `limit` rows of a table that were stored first and no further, so that the cost does not depend
    on what is kept. Candles of one timeframe lie among others that are kept far longer, and documents of one category
    among others; of them it looks at those of before that time, by the index: 525,000 bars that a backfill has just
    stored take 0.1 s.
    """
    table = TABLES[series.record]
    if not series.equal:
        oldest = f"SELECT rowid AS row, stored_ms FROM {table.name} ORDER BY rowid LIMIT ?"  # noqa: S608
        sql = f"SELECT row FROM ({oldest}) WHERE stored_ms < ?"  # noqa: S608
        parameters: tuple[object, ...] = (limit, stored_before_ms)
    else:  # bars are stored after they have opened, documents after the time they speak of
        ((field, value),) = series.equal
        sql = (
            f'SELECT rowid FROM {table.name} WHERE "{field}" = ? AND "{table.time}" < ? AND stored_ms < ?'  # noqa: S608
            f' ORDER BY "{table.time}" LIMIT ?'
        )
        parameters = (value, stored_before_ms, stored_before_ms, limit)
    return [row for (row,) in connection.execute(sql, parameters).fetchall()]


def delete(connection: sqlite3.Connection, series: Series, stored_before_ms: int, rows: Sequence[int]) -> int:
    """Delete those of the rows that are still there and still as old; return how many."""
    before = connection.total_changes
    same = f"DELETE FROM {TABLES[series.record].name} WHERE rowid = ? AND stored_ms < ?"  # noqa: S608
    connection.executemany(same, ((row, stored_before_ms) for row in rows))
    deleted = connection.total_changes - before
    if series.record is Quarantined:
        connection.execute("UPDATE head SET quarantine_rows = quarantine_rows - ?", (deleted,))
    return deleted


def give_back(connection: sqlite3.Connection) -> None:
    """Return pages to the disk, at most VACUUM_PAGES, which is more than one call of `delete` frees."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    for _ in range(min(free - FREE_PAGES_KEPT, VACUUM_PAGES)):
        connection.execute("PRAGMA incremental_vacuum")  # gives back one page: sqlite3 takes one step
