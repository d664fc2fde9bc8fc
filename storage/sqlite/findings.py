"""What is wrong in a store's folder and will not mend itself, in sentences."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from data_manager.storage.records import Symbol
from data_manager.storage.sqlite.files import SUFFIX, SymbolFiles, symbol_of
from data_manager.system.errors import StoreError

CHECKED_BYTES = 16 * 2**20  # a file up to here is read whole, in 50 ms; of a larger one the head alone
LOG = f"{SUFFIX}-wal"


def findings(files: SymbolFiles) -> list[str]:
    """One sentence for each file that cannot be used, and each that does not belong here."""
    names = files.names()
    problems = (_problem(files, symbol) for symbol in map(symbol_of, names) if symbol is not None)
    return [*strangers(files.folder, names), *filter(None, problems)]


def strangers(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Files that look like a symbol's and are none, and logs whose file is gone with what they hold."""
    for name in names:
        if name.endswith(SUFFIX) and symbol_of(name) is None:
            yield f"{folder / name} lies among the market files, but its name is no symbol's: move it away"
        if name.endswith(LOG) and not (file := folder / name.removesuffix("-wal")).exists():
            yield f"{folder / name} is the log of {file.name}, which is gone: put that back beside it, or move it away"


def damage(connection: sqlite3.Connection) -> str | None:
    """The first thing wrong with the tables of a file, which is read whole."""
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return None if answer == "ok" else str(answer).splitlines()[-1]


def _problem(files: SymbolFiles, symbol: Symbol) -> str | None:
    path = files.path(symbol)
    try:
        with files.reading(symbol) as connection:
            if connection is None:  # empty so far, or gone meanwhile
                return None
            connection.execute("SELECT quarantine_rows FROM head").fetchone()
            found = damage(connection) if path.stat().st_size <= CHECKED_BYTES else None
    except StoreError as error:
        return str(error)
    return None if found is None else f"{path} is damaged ({found}): move it away or restore it from a backup"
