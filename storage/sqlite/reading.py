"""Reading pages of rows: ranges, filters, order and limits are SQLite's work, never ours."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

from data_manager.storage.protocols import Query
from data_manager.storage.records import Record, Trade
from data_manager.storage.sqlite.tables import TABLES, Table, quoted
from data_manager.system.errors import StoreError

R = TypeVar("R", bound=Record)

Value = str | int | bool
Sql = tuple[str, list[Value]]  # a statement and its parameters


def page(connection: sqlite3.Connection, table: Table[R], query: Query) -> list[R]:
    """The rows that match, in order, at most `query.limit`."""
    source = _matching(connection, table, query, table.select)
    if source is None:
        return []
    sql, parameters = source
    direction = " DESC" if query.descending else ""
    order = ", ".join(f'"{column}"{direction}' for column in table.order)
    sql = f"{sql} ORDER BY {order} LIMIT ? OFFSET ?"
    rows = connection.execute(sql, [*parameters, max(query.limit, 0), query.offset]).fetchall()
    return [table.record_of(row) for row in rows]


def count(connection: sqlite3.Connection, table: Table[R], query: Query, cap: int) -> int:
    """How many rows match, counted no further than `cap`."""
    source = _matching(connection, table, query, f"SELECT 1 FROM {table.name}")  # noqa: S608
    if source is None:
        return 0
    sql, parameters = source
    counted = f"SELECT count(*) FROM ({sql} LIMIT ?)"  # noqa: S608
    return int(connection.execute(counted, [*parameters, cap]).fetchone()[0])


def trades_between(connection: sqlite3.Connection, start_ms: int, end_ms: int) -> list[Trade]:
    """Both kinds, by time and id."""
    table = TABLES[Trade]
    sql = (
        f"{table.select} WHERE kind IN ('trade', 'aggTrade') AND time_ms >= ? AND time_ms < ?"
        " ORDER BY time_ms, trade_id, kind"
    )
    return [table.record_of(row) for row in connection.execute(sql, (start_ms, end_ms)).fetchall()]


def neighbours(
    connection: sqlite3.Connection, start_ms: int, end_ms: int
) -> tuple[Trade | None, Trade | None, Trade | None, Trade | None]:
    """The nearest trade and aggTrade before `start_ms`, then at or after `end_ms`."""

    def nearest(kind: str, query: Query) -> Trade | None:
        found: list[Trade] = page(connection, TABLES[Trade], query_of(kind, query))
        return found[0] if found else None

    def query_of(kind: str, query: Query) -> Query:
        return Query(query.start_ms, query.end_ms, (("kind", kind),), 1, 0, query.descending)

    before, after = Query(end_ms=start_ms, descending=True), Query(start_ms=end_ms)
    return (
        nearest("trade", before),
        nearest("aggTrade", before),
        nearest("trade", after),
        nearest("aggTrade", after),
    )


def _matching(connection: sqlite3.Connection, table: Table[R], query: Query, select: str) -> Sql | None:
    """`select` over the rows that match; None when there cannot be any.

    Rows lie by kind or timeframe first. A query over all of them merges one ordered scan for each, so that
    its cost is that of the page, not of the table.
    """
    condition, parameters = _condition(table, query)
    if table.series is None or any(column == table.series for column, _ in query.equal):
        return f"{select} WHERE {condition}", parameters
    values = series_values(connection, table, table.series)
    if not values:
        return None
    scans = [f'{select} WHERE "{table.series}" = ? AND {condition}' for _ in values]
    return " UNION ALL ".join(scans), [item for value in values for item in (value, *parameters)]


def _condition(table: Table[R], query: Query) -> Sql:
    terms, parameters = ["true"], []
    for column, value in query.equal:
        if column not in table.columns:
            raise StoreError(f"{table.name} has no column {column!r}; it has {quoted(table.columns)}")
        terms.append(f'"{column}" = ?')
        parameters.append(value)
    for operator, bound in ((">=", query.start_ms), ("<", query.end_ms)):
        if bound is not None:
            terms.append(f'"{table.time}" {operator} ?')
            parameters.append(bound)
    return " AND ".join(terms), parameters


def series_values(connection: sqlite3.Connection, table: Table[R], column: str) -> list[str]:
    """The different values of an indexed column, by one seek each."""
    smallest = f'SELECT min("{column}") FROM {table.name}'  # noqa: S608
    values: list[str] = []
    (value,) = connection.execute(smallest).fetchone()
    while value is not None:
        values.append(value)
        (value,) = connection.execute(f'{smallest} WHERE "{column}" > ?', (value,)).fetchone()
    return values
