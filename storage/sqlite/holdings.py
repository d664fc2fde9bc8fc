"""What a symbol's file holds, series by series: exact counts, from indexes alone."""

from __future__ import annotations

import sqlite3
from typing import Any

from data_manager.storage.protocols import Holding
from data_manager.storage.records import Series, Symbol, all_series_of
from data_manager.storage.sqlite.reading import series_values
from data_manager.storage.sqlite.tables import TABLES, Table


def holdings(connection: sqlite3.Connection, symbol: Symbol) -> list[Holding]:
    """Every series that has rows. Counting a million rows takes 10 to 50 ms, the ends of a series a few µs.

    Bytes stay None: SQLite finds the size of one table only by reading all of it.
    """
    found = (_holding(connection, series) for series in all_series_of(symbol))
    return [holding for holding in found if holding is not None]


def _holding(connection: sqlite3.Connection, series: Series) -> Holding | None:
    """Rows lie by kind, timeframe or category first, so that each of these has ends of its own."""
    table = TABLES[series.record]
    values: list[str | None] = [value for _, value in series.equal] or [None]
    if table.series is not None and not series.equal:
        values = list(series_values(connection, table, table.series))
    stretches = [_stretch(connection, table, value) for value in values]
    held = [stretch for stretch in stretches if stretch[0]]
    if not held:
        return None
    rows, oldest, newest = zip(*held, strict=True)
    return Holding(series, sum(rows), min(oldest), max(newest), bytes=None)


def _stretch(connection: sqlite3.Connection, table: Table[Any], value: str | None) -> tuple[int, int, int]:
    """How many rows there are with that kind, timeframe or category (all for None), and their first and last time."""
    source = f"FROM {table.name}" + ("" if value is None else f' WHERE "{table.series}" = ?1')
    ends = ", ".join(f'(SELECT {end}("{table.time}") {source})' for end in ("min", "max"))  # each by one seek
    row: tuple[int, int, int] = connection.execute(
        f"SELECT count(*), {ends} {source}",
        () if value is None else (value,),
    ).fetchone()
    return row
