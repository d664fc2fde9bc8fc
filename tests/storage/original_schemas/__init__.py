"""The catalog's database as the original's versions leave it, with rows, and what others keep beside it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

V11 = ("v11", "rows")
HEAD = ("v11", "head", "rows", "shared")


def load(engine: Engine, *names: str) -> None:
    """Execute the files of those names; no statement of theirs holds a `;` but at its end."""
    with engine.begin() as connection:
        connection.exec_driver_sql("SET SESSION sql_mode = 'STRICT_TRANS_TABLES'")  # the original's
        for name in names:
            text = Path(__file__).with_name(f"{name}.sql").read_text()
            for statement in filter(str.strip, text.split(";\n")):
                connection.exec_driver_sql(statement)
        connection.detach()  # the mode is not for the pool
