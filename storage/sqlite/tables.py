"""The tables of a symbol's file, generated from the record types: DDL, statements and row conversion.

A row's columns are its record's fields in order. Every table keeps its implicit rowid, which grows with each
insert and replacement: rows lie in the order they were stored, so retention takes them from the front without
an index on `stored_ms` (which costs ingest a fifth of its rate), and ranges by time touch neighbouring pages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec

from data_manager.storage.records import MARKET_RECORDS, Analytics, Depth, Levels, Record

R = TypeVar("R", bound=Record)
Convert = Callable[[Any], Any]

SCHEMA_VERSION = 2  # 2 has documents of analytics

COLUMN_TYPES: dict[object, str] = {
    int: "INTEGER NOT NULL",
    int | None: "INTEGER",
    str: "TEXT NOT NULL",
    str | None: "TEXT",
    bool: "INTEGER NOT NULL",
    bytes: "BLOB NOT NULL",
    Levels: "TEXT NOT NULL",
}

# sqlite3 looks for an adapter of every bool it binds and, finding none, tries two attributes: 0.4 µs a row.
sqlite3.register_adapter(bool, int)

_levels_encoder = msgspec.json.Encoder()
_levels_decoder = msgspec.json.Decoder(Levels)


def _encode_levels(levels: Levels) -> str:
    return _levels_encoder.encode(levels).decode()


class Table(Generic[R]):
    """One record type's table: its names, its statements, and the way between a row and a record."""

    def __init__(self, record: type[R], name: str | None = None) -> None:
        hints = get_type_hints(record)
        self.record = record
        self.name = name or record.dataset
        self.columns = record.__struct_fields__
        self.types = {column: hints[column] for column in self.columns}
        self.time = record.time_field
        self.key = record.key
        leads = self.key[0] != self.time and self.types[self.key[0]] is str
        self.series = self.key[0] if leads else None  # rows of one kind or timeframe lie together, by time
        rest = tuple(column for column in self.key if column not in (self.series, self.time))
        self.by_time = (*((self.series,) if self.series else ()), self.time, *rest)
        self.order = (self.time, *(column for column in self.key if column != self.time))
        self._marks = marks = ", ".join("?" * len(self.columns))
        same_key = " AND ".join(f'"{column}" = ?' for column in self.key)
        self.select = f"SELECT {quoted(self.columns)} FROM {self.name}"  # noqa: S608
        self.select_by_key = f"{self.select} WHERE {same_key}"
        # not OR IGNORE, which would also drop a row with a null in silence
        self.insert_new = f"INSERT INTO {self.name} VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
        self.replace = f"REPLACE INTO {self.name} VALUES ({marks})"  # noqa: S608
        self._key = attrgetter(*self.key)  # a tuple, but for a single column
        self._encoded = self._indexes({Levels: _encode_levels})
        self._decoded = self._indexes({Levels: _levels_decoder.decode, bool: bool})

    def _indexes(self, convert: dict[object, Convert]) -> tuple[tuple[int, Convert], ...]:
        types = enumerate(self.types.values())
        return tuple((index, convert[kind]) for index, kind in types if kind in convert)

    def ddl(self) -> list[str]:
        """The statements that create the table and, where its key does not serve ranges by time, an index."""
        columns = ", ".join(f'"{column}" {COLUMN_TYPES[kind]}' for column, kind in self.types.items())
        statements = [f"CREATE TABLE {self.name} ({columns}, UNIQUE ({quoted(self.key)})) STRICT"]
        if self.by_time[: len(self.key)] != self.key:
            statements.append(f"CREATE INDEX {self.name}_by_time ON {self.name} ({quoted(self.by_time)})")
        return statements

    def insert_many(self, count: int) -> str:
        """The statement that inserts so many rows, whose keys are free."""
        return f"INSERT INTO {self.name} VALUES {', '.join([f'({self._marks})'] * count)}"  # noqa: S608

    def row(self, record: R) -> tuple[Any, ...]:
        """The column values of a record."""
        if not self._encoded:
            return msgspec.structs.astuple(record)
        values = list(msgspec.structs.astuple(record))
        for index, encode in self._encoded:
            values[index] = encode(values[index])
        return tuple(values)

    def rows(self, records: Iterable[R]) -> Iterable[tuple[Any, ...]]:
        """The column values of many records, as they are asked for."""
        return map(self.row if self._encoded else msgspec.structs.astuple, records)

    def record_of(self, row: tuple[Any, ...]) -> R:
        """The record of a row as `select` returns it."""
        if not self._decoded:
            return self.record(*row)
        values = list(row)
        for index, decode in self._decoded:
            values[index] = decode(values[index])
        return self.record(*values)

    def key_of(self, record: R) -> tuple[Any, ...]:
        """The values of the natural key."""
        values = self._key(record)
        return values if len(self.key) > 1 else (values,)


def quoted(columns: Iterable[str]) -> str:
    """Names for SQL, with commas between them."""
    return ", ".join(f'"{column}"' for column in columns)


TABLES: dict[type[Record], Table[Any]] = {record: Table(record) for record in MARKET_RECORDS}

BOOK = Table(Depth, "book")  # at most one row: the newest book

LEDGER_DDL = [
    "CREATE TABLE dirty_minutes (open_time INTEGER PRIMARY KEY) STRICT",
    """CREATE TABLE ledger (
        event_type TEXT PRIMARY KEY, received INTEGER NOT NULL, stored INTEGER NOT NULL,
        replaced INTEGER NOT NULL, duplicate INTEGER NOT NULL, skipped INTEGER NOT NULL,
        quarantined INTEGER NOT NULL, redelivered INTEGER NOT NULL) STRICT""",
    # one row: where the feed stands, and how many rows the quarantine holds (counting would cost every write)
    """CREATE TABLE head (
        last_market_seq INTEGER NOT NULL, incarnation INTEGER NOT NULL, routed_through INTEGER NOT NULL,
        last_position INTEGER NOT NULL, quarantine_rows INTEGER NOT NULL) STRICT""",
    "INSERT INTO head VALUES (0, 0, 0, 0, 0)",
    # `written` grows with each batch, whatever its number: a MARKET stream made anew starts at 1 again
    """CREATE TABLE batches (
        written INTEGER PRIMARY KEY, market_seq INTEGER NOT NULL UNIQUE, incarnation INTEGER NOT NULL,
        first_position INTEGER NOT NULL, last_position INTEGER NOT NULL, positions BLOB NOT NULL) STRICT""",
    "CREATE INDEX batches_by_position ON batches (incarnation, last_position, first_position)",
]


def schema(version: int = 0) -> list[str]:
    """Every statement that makes a file of that version, 0 for an empty one, a symbol's file of the present one."""
    if version:
        return TABLES[Analytics].ddl() if version < 2 else []
    tables = [*TABLES.values(), BOOK]
    return [*(statement for table in tables for statement in table.ddl()), *LEDGER_DDL]
