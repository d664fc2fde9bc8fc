"""How the catalog's structs lie in its tables, both ways, and the one statement that differs by database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec
from sqlalchemy import Column, Connection, RowMapping, Select, Table, select
from sqlalchemy.dialects import mysql, sqlite

from data_manager.storage import catalog_tables as tables
from data_manager.storage.protocols import (
    AuditLog,
    Conflict,
    Dataset,
    ExchangeState,
    Gap,
    Health,
    Incident,
    Job,
    Lineage,
    ListedSymbol,
)

S = TypeVar("S", bound=msgspec.Struct)

CHUNK_ROWS = 500  # of one statement
TEXT_BYTES = 65_535  # what MySQL's TEXT holds
ELLIPSIS = "…"

# What stands for a null of the original's columns where the struct has no null.
EMPTY: dict[object, object] = {str: "", int: 0, float: 0.0}


class Shape(Generic[S]):
    """One struct's table: its fields by column, and which of them are free text, cut where the column ends."""

    def __init__(
        self, struct: type[S], table: Table, *, renamed: Mapping[str, str] | None = None, free: Sequence[str] = ()
    ) -> None:
        hints = get_type_hints(struct)
        fields = msgspec.structs.fields(struct)
        self.table = table
        self._struct = struct
        self._columns = {field.name: table.c[(renamed or {}).get(field.name, field.name)] for field in fields}
        self._free = frozenset(free)
        # SQLite gives 50.0 back as 50
        self._floats = [field.name for field in fields if hints[field.name] in (float, float | None)]
        self._absent = {
            field.name: EMPTY.get(hints[field.name]) if field.required else field.default for field in fields
        }

    @property
    def select(self) -> Select[Any]:
        """Every row, a column per field under the field's name."""
        return select(*(column.label(field) for field, column in self._columns.items()))

    def __getitem__(self, field: str) -> Column[Any]:
        """The column of a field."""
        return self._columns[field]

    def row(self, item: S) -> dict[str, object]:
        """The column values of a struct."""
        return {column.name: self._value(item, field, column) for field, column in self._columns.items()}

    def item(self, row: RowMapping) -> S:
        """The struct of a row of `select`."""
        values: dict[str, Any] = {
            field: self._absent[field] if value is None else value for field, value in row.items()
        }
        floats = {field: float(values[field]) for field in self._floats if values[field] is not None}
        return self._struct(**{**values, **floats})

    def items(self, connection: Connection, query: Select[Any]) -> list[S]:
        """The structs of a query made from `select`."""
        return [self.item(row) for row in connection.execute(query).mappings()]

    def save(self, connection: Connection, items: Iterable[S], keep: Sequence[str] = ()) -> None:
        """Insert each, or update the row with its key, but for the columns to `keep`; with all kept it stays as it is.

        In the order of the keys, so that two who save the same rows wait for each other and do not deadlock.
        """
        keys = [column.name for column in self.table.primary_key]
        rows = sorted(map(self.row, items), key=lambda row: [str(row[key]) for key in keys])
        changed = [column.name for column in self._columns.values() if column.name not in (*keys, *keep)]
        for start in range(0, len(rows), CHUNK_ROWS):
            connection.execute(_upsert(connection, self.table, keys, changed or keys), rows[start : start + CHUNK_ROWS])

    def _value(self, item: S, field: str, column: Column[Any]) -> object:
        value = getattr(item, field)
        return cut(value, column.type.length) if value is not None and field in self._free else value  # type: ignore[attr-defined]


def insert_new(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, object]], fixed: Mapping[str, object]
) -> None:
    """Insert rows, each with the `fixed` values too; one whose key is there already stays as it is."""
    keys = [column.name for column in table.primary_key]
    if rows:
        connection.execute(_upsert(connection, table, keys, keys).values(fixed), rows)


def cut(text: str, length: int | None) -> str:
    """`text`, or its beginning and an ellipsis: at most `length` characters, or TEXT_BYTES where that is None."""
    if length is not None:
        return text if len(text) <= length else text[: length - len(ELLIPSIS)] + ELLIPSIS
    encoded = text.encode()
    if len(encoded) <= TEXT_BYTES:
        return text
    return encoded[: TEXT_BYTES - len(ELLIPSIS.encode())].decode(errors="ignore") + ELLIPSIS


def _upsert(connection: Connection, table: Table, keys: list[str], changed: list[str]) -> Any:
    """Never INSERT IGNORE, which hides what is wrong with a row and, in MySQL, locks gaps until it deadlocks."""
    if connection.dialect.name == "sqlite":
        for_sqlite = sqlite.insert(table)
        return for_sqlite.on_conflict_do_update(
            index_elements=keys, set_={name: for_sqlite.excluded[name] for name in changed}
        )
    for_mysql = mysql.insert(table)
    return for_mysql.on_duplicate_key_update({name: for_mysql.inserted[name] for name in changed})


INCIDENTS = Shape(
    Incident,
    tables.incidents,
    renamed={"started_ms": "started_at", "ended_ms": "ended_at"},
    free=("cause", "detail"),
)
DATASETS = Shape(
    Dataset,
    tables.datasets,
    renamed={"created_ms": "created_at", "updated_ms": "updated_at"},
    free=("description",),
)
LINEAGE = Shape(Lineage, tables.lineage_records, renamed={"at_ms": "timestamp"})
JOBS = Shape(
    Job,
    tables.backfill_jobs,
    renamed={
        "start_ms": "start_time",
        "end_ms": "end_time",
        "created_ms": "created_at",
        "started_ms": "started_at",
        "completed_ms": "completed_at",
    },
    free=("error_message",),
)
GAPS = Shape(
    Gap,
    tables.gaps,
    renamed={
        "start_ms": "start_time",
        "end_ms": "end_time",
        "first_seen_ms": "first_seen",
        "last_seen_ms": "last_seen",
        "closed_ms": "closed_at",
    },
    free=("evidence",),
)
AUDIT_LOGS = Shape(AuditLog, tables.audit_logs, renamed={"at_ms": "timestamp"}, free=("details",))
HEALTH = Shape(Health, tables.health_metrics, renamed={"at_ms": "timestamp"})
CONFLICTS = Shape(Conflict, tables.conflicts, renamed={"at_ms": "timestamp"})
EXCHANGE_STATES = Shape(
    ExchangeState, tables.exchange_state, renamed={"until_ms": "until_at", "updated_ms": "updated_at"}
)
SYMBOLS = Shape(ListedSymbol, tables.symbols, renamed={"added_ms": "added_at", "retired_ms": "retired_at"})
