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


def _change(connection: Connection, table: Table, columns: set[str], indexes: set[str | None]) -> str:
    """One ALTER TABLE; what is already as it says, MySQL leaves alone."""
    options = table.dialect_options["mysql"]
    parts = [f"DEFAULT CHARACTER SET {options['charset']} COLLATE {options['collate']}"]  # columns follow it
    for column in table.columns:
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        parts.append(f"{'MODIFY' if column.name in columns else 'ADD'} COLUMN {definition}")
    missing = sorted((index for index in table.indexes if index.name not in indexes), key=_name)
    parts += [f"ADD INDEX {_name(index)} ({', '.join(column.name for column in index.columns)})" for index in missing]
    return f"ALTER TABLE {table.name} " + ", ".join(parts)


def _name(index: Index) -> str:
    return str(index.name)
