"""The list of symbols as main reads it from a SQLite catalog before its actors start: without SQLAlchemy.

Every actor is forked from main and would carry along what main imports.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from data_manager.system.errors import StoreError

TABLE = "data_manager_symbols"
BUSY_S = 5.0


def statuses_in(file: Path) -> dict[str, str]:
    """The status of each symbol, in the order in which they were added; empty where there is no list yet.

    Raises StoreError where the file cannot be read.
    """
    if not file.exists():
        return {}
    try:
        # not mode=ro: what a killed process had committed may still be in the log, which only a writer recovers
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone():
                return {}
            rows = connection.execute(f"SELECT symbol, status FROM {TABLE} ORDER BY added_at, symbol")  # noqa: S608
            return dict(rows.fetchall())
    except sqlite3.Error as error:
        raise StoreError(f"{file} cannot be read: {error}") from error
