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
    on what is kept. Candles of one timeframe lie among others that are kept far longer; of them it looks at those
    that opened before that time, by the index: 525,000 that a backfill has just stored take 0.1 s.
    """
    name = TABLES[series.record].name
    parameters: tuple[object, ...]
    if series.timeframe is None:
        oldest = f"SELECT rowid AS row, stored_ms FROM {name} ORDER BY rowid LIMIT ?"  # noqa: S608
        sql, parameters = f"SELECT row FROM ({oldest}) WHERE stored_ms < ?", (limit, stored_before_ms)  # noqa: S608
    else:  # a bar is stored after it has opened
        sql = (
            f"SELECT rowid FROM {name} WHERE timeframe = ? AND open_time < ? AND stored_ms < ?"  # noqa: S608
            " ORDER BY open_time LIMIT ?"
        )
        parameters = (series.timeframe, stored_before_ms, stored_before_ms, limit)
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
