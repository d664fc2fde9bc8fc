"""SQLite's errors as the project's: by who must act (system/errors.py)."""

from __future__ import annotations

import sqlite3

from data_manager.system.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable

# What one row or one parameter can do wrong; everything else that sqlite3 raises is about the file.
ROW_ERRORS = (
    OverflowError,  # beyond 64 bits
    TypeError,  # a null where rows are compared
    ValueError,  # text that is no Unicode, an unknown source of a candle
    sqlite3.IntegrityError,  # a null, or text in a number's column
    sqlite3.DataError,  # too long
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,  # a type that SQLite does not know
)

PASSING = {
    sqlite3.SQLITE_BUSY: "another process is writing to it",
    sqlite3.SQLITE_LOCKED: "another connection is writing to it",
    sqlite3.SQLITE_PROTOCOL: "too many processes are opening it",
    sqlite3.SQLITE_READONLY: "it cannot be written; make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the folder and its rights",
    sqlite3.SQLITE_PERM: "access is denied; check its rights",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_NOMEM: "memory has run out",
}
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def store_error(error: sqlite3.Error, file: object) -> StoreError:
    """The error to raise for one that sqlite3 raised on `file`."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the rest says which kind of it
    if code in DAMAGED:
        return StoreCorrupt(f"{file} is damaged ({error}): move it away or restore it from a backup")
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"no space is left for {file}: free some, or move the data folder")
    if code in PASSING:
        return StoreUnavailable(f"{file} is not available ({error}): {PASSING[code]}")
    return StoreError(f"{file} cannot do what was asked: {error}")
