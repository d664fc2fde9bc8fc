"""What revisions do to a table as a whole."""

from __future__ import annotations

from sqlalchemy import Connection, Index, Table, inspect
from sqlalchemy.schema import CreateColumn


def make_or_change(connection: Connection, table: Table) -> None:
    """Make the table; in MySQL, change the one that is there, in one statement, so that it is wholly old or new.

    Its rows stay, as do columns and indexes that `table` does not name. In SQLite a table is there only if it is
    like `table`: what made it either did so in one transaction, or named the same columns.
    """
    inspector = inspect(connection)
    if not inspector.has_table(table.name):
        table.create(connection)
    elif connection.dialect.name == "mysql":
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        indexes = {index["name"] for index in inspector.get_indexes(table.name)}
        connection.exec_driver_sql(_change(connection, table, columns, indexes))


def add_missing(connection: Connection, table: Table) -> None:
    """Add the columns and indexes that the table lacks: in MySQL by one statement, if any is missing.

    Everything else of the table stays; new columns have its character set.
    """
    inspector = inspect(connection)
    there = {column["name"] for column in inspector.get_columns(table.name)}
    indexed = {index["name"] for index in inspector.get_indexes(table.name)}
    columns = [
        f"ADD COLUMN {CreateColumn(column).compile(dialect=connection.dialect)}"
        for column in table.columns
        if column.name not in there
    ]
    indexes = [index for index in sorted(table.indexes, key=_name) if index.name not in indexed]
    if connection.dialect.name != "mysql":
        for column in columns:
            connection.exec_driver_sql(f"ALTER TABLE {table.name} {column}")
        for index in indexes:
            index.create(connection)
    elif columns or indexes:
        parts = [*columns, *map(_add_index, indexes)]
        connection.exec_driver_sql(f"ALTER TABLE {table.name} {', '.join(parts)}")


def _change(connection: Connection, table: Table, columns: set[str], indexes: set[str | None]) -> str:
    """One ALTER TABLE; what is already as it says, MySQL leaves alone."""
    options = table.dialect_options["mysql"]
    parts = [f"DEFAULT CHARACTER SET {options['charset']} COLLATE {options['collate']}"]  # columns follow it
    for column in table.columns:
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        parts.append(f"{'MODIFY' if column.name in columns else 'ADD'} COLUMN {definition}")
    missing = sorted((index for index in table.indexes if index.name not in indexes), key=_name)
    parts += map(_add_index, missing)
    return f"ALTER TABLE {table.name} " + ", ".join(parts)


def _add_index(index: Index) -> str:
    return f"ADD INDEX {_name(index)} ({', '.join(column.name for column in index.columns)})"


def _name(index: Index) -> str:
    return str(index.name)
