"""Errors of SQL databases as the project's: by who must act (system/errors.py)."""

from __future__ import annotations

import re
import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError, TimeoutError  # noqa: A004

from data_manager.storage.sqlite.errors import store_error as sqlite_error
from data_manager.system.errors import StoreError, StoreFull, StoreUnavailable

# The server or the connection went away, or another transaction was in the way: the same call may do now.
RETRIED = frozenset({2003, 2006, 2013, 4031, 1205, 1213})  # 4031: MySQL 8 on a session that was silent too long
FULL = frozenset({28, 1021, 1114})
DISK_FULL = re.compile(r"\berr(or|no):? 28\b")  # ENOSPC inside a storage engine's message (1026, 1030)

_TOO_MANY = "it has too many connections; raise its limit, or let fewer processes use it"
_READ_ONLY = "it is read-only; make it writable, or name its primary server"
_LOST = "the connection was lost; look at the server's log"

ADVICE = {  # MySQL's code -> what it means and what to do
    1040: _TOO_MANY,
    1044: "grant the user SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER and INDEX on that database",
    1045: "correct the user or the password, or create the user",
    1049: "create that database with CHARACTER SET utf8mb4, or name another one",
    1053: "it is shutting down",
    1129: "it has blocked this host; run FLUSH HOSTS there",
    1142: "grant the user that command on that database",
    1203: _TOO_MANY,
    1205: "another transaction holds its rows for too long; look for it with SHOW PROCESSLIST",
    1213: "other transactions were in the way again and again",
    1226: _TOO_MANY,
    1290: _READ_ONLY,
    1836: _READ_ONLY,
    1927: _LOST,
    2003: "it cannot be reached; start it, or correct its host and port",
    2006: _LOST,
    2013: _LOST,
    4031: _LOST,
}


def is_passing(error: BaseException) -> bool:
    """Whether the same transaction may succeed when it is tried again at once."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the rest says which kind of it
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return mysql_code(cause) in RETRIED


def store_error(error: SQLAlchemyError, place: str) -> StoreError:
    """The error to raise for one that SQLAlchemy raised on the database at `place`."""
    cause = (isinstance(error, DBAPIError) and error.orig) or error
    if isinstance(cause, sqlite3.Error):
        return sqlite_error(cause, place)
    code = mysql_code(cause)
    if code in FULL or DISK_FULL.search(str(cause)):
        return StoreFull(f"no space is left for {place} ({_text(cause)}): free some on the server")
    if code in ADVICE:
        return StoreUnavailable(f"{place} is not available ({_text(cause)}): {ADVICE[code]}")
    if isinstance(error, InterfaceError | TimeoutError) or 2000 <= (code or 0) < 3000:  # the client's own
        return StoreUnavailable(f"{place} is not available: {_text(cause)}")
    return StoreError(f"{place} cannot do what was asked: {_text(cause)}")


def mysql_code(cause: BaseException | None) -> int | None:
    """The number of an error that the MySQL server or its driver raised."""
    code = cause.args[0] if cause is not None and cause.args else None
    return code if isinstance(code, int) else None


def _text(cause: BaseException) -> str:
    """The server's words, without the tuple around them."""
    return ", ".join(str(each) for each in cause.args)
