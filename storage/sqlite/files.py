"""The SQLite files of a folder, one per symbol: opening, creating, transactions, and their errors."""

from __future__ import annotations

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from data_manager.storage.records import ALL_SYMBOLS, Symbol
from data_manager.storage.sqlite.checkpoints import Checkpointer
from data_manager.storage.sqlite.errors import ROW_ERRORS, store_error
from data_manager.storage.sqlite.tables import SCHEMA_VERSION, schema
from data_manager.system.errors import StoreCorrupt, StoreError, StoreUnavailable
from data_manager.system.settings import is_symbol

SUFFIX = ".sqlite3"
MAX_OPEN = 32  # files; each takes up to three descriptors, and some hosts allow a process 256
READER_BUSY_S = 0.05  # in WAL mode a reader waits only while a file is being opened or recovered
WAL_BYTES_KEPT = 64 * 2**20  # a longer log is cut after its checkpoint

Identity = tuple[int, int]  # device and inode


class OpenFile(NamedTuple):
    """A connection, and the file it was opened on."""

    connection: sqlite3.Connection
    identity: Identity | None


class SymbolFiles:
    """Connections to the files of one folder, the least recently used closed first.

    A file that appears, disappears or is replaced is noticed at the next call. After any error its connection
    is dropped, since SQLite goes on refusing writes on a file that was read-only when it was opened.
    """

    def __init__(self, folder: Path, *, synchronous: str, timeout_s: float, read_only: bool) -> None:
        self.folder = folder
        self.read_only = read_only
        self._synchronous = synchronous
        self._busy_s = READER_BUSY_S if read_only else timeout_s
        self._open: OrderedDict[Symbol, OpenFile] = OrderedDict()
        self._checkpoints = Checkpointer()

    def path(self, symbol: Symbol) -> Path:
        """The symbol's file; raises StoreError for what cannot be a symbol, and so would be another path."""
        if symbol != ALL_SYMBOLS and not is_symbol(symbol):
            raise StoreError(f"{symbol!r} is no symbol and has no file")
        return self.folder / f"{symbol}{SUFFIX}"

    def names(self) -> list[str]:
        """Everything in the folder, sorted."""
        with self._translating(self.folder):
            return sorted(os.listdir(self.folder))

    def symbols(self) -> list[Symbol]:
        """The symbols that have a file, sorted, without ALL_SYMBOLS."""
        return [symbol for symbol in map(symbol_of, self.names()) if symbol not in (None, ALL_SYMBOLS)]

    def require_writable(self, symbol: Symbol) -> None:
        """Raise StoreError in a store that was opened for reading."""
        if self.read_only:
            raise StoreError(f"this store was opened for reading; {symbol} cannot be written")

    @contextmanager
    def reading(self, symbol: Symbol) -> Iterator[sqlite3.Connection | None]:
        """A connection for single statements, None when the symbol has never been written."""
        with self._translating(self.path(symbol), symbol):
            try:
                yield self._connection(symbol, create=False)
            except ROW_ERRORS as error:
                raise StoreError(f"the rows of {symbol} cannot be asked for that value: {error}") from error

    @contextmanager
    def writing(self, symbol: Symbol, *, keep: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, committed at the end if `keep`, undone by any error; ROW_ERRORS pass unchanged."""
        self.require_writable(symbol)
        with self._translating(self.path(symbol), symbol):
            connection = self._connection(symbol, create=True)
            assert connection is not None
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT" if keep else "ROLLBACK")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            self._after_commit(connection, self.path(symbol))

    def close(self) -> None:
        """Close every connection."""
        self._checkpoints.close()
        while self._open:
            self._open.popitem()[1].connection.close()

    def _after_commit(self, connection: sqlite3.Connection, path: Path) -> None:
        if path in self._checkpoints.overdue:
            self._checkpoints.overdue.discard(path)
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # of everything, since nobody else writes now
        self._checkpoints.wrote(path)

    @contextmanager
    def _translating(self, path: Path, symbol: Symbol | None = None) -> Iterator[None]:
        try:
            yield
        except ROW_ERRORS:
            raise
        except sqlite3.Error as error:
            self._drop(symbol)
            raise store_error(error, path) from error
        except OSError as error:
            self._drop(symbol)
            raise StoreUnavailable(f"{path} is not available: {error.strerror}") from error

    def _connection(self, symbol: Symbol, *, create: bool) -> sqlite3.Connection | None:
        path = self.path(symbol)
        identity = _identity(path)
        opened = self._open.get(symbol)
        if opened is not None:
            if identity is not None and opened.identity == identity:
                self._open.move_to_end(symbol)
                return opened.connection
            self._drop(symbol)
        if identity is None and not create:
            return None
        connection = self._connect(path)
        if connection is None:
            return None
        self._open[symbol] = OpenFile(connection, _identity(path))
        if len(self._open) > MAX_OPEN:
            self._drop(next(iter(self._open)))
        return connection

    def _connect(self, path: Path) -> sqlite3.Connection | None:
        if not self.read_only:
            self.folder.mkdir(parents=True, exist_ok=True)
        uri = f"file:{quote(str(path.absolute()))}?mode={'ro' if self.read_only else 'rwc'}"
        connection = sqlite3.connect(uri, uri=True, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
        try:
            ready = self._prepare(connection, path)
        except (sqlite3.Error, StoreCorrupt):
            connection.close()
            raise
        if not ready:
            connection.close()
            return None
        return connection

    def _prepare(self, connection: sqlite3.Connection, path: Path) -> bool:
        """Make the connection ready; False when it is read-only and there are no tables yet."""
        version = _version(connection)
        if version > SCHEMA_VERSION:
            raise StoreCorrupt(
                f"{path} has format {version}, this version reads up to {SCHEMA_VERSION}: "
                "install the version that wrote it, or use another data folder"
            )
        if self.read_only:
            if 0 < version < SCHEMA_VERSION:
                raise StoreUnavailable(
                    f"{path} has the older format {version}, which this version changes when it first writes to it: "
                    "data-manager run does so at its start"
                )
            return version != 0
        if version == 0:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # works before the first table only
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
        if version < SCHEMA_VERSION:
            _bring_up_to_date(connection)
        return True

    def _drop(self, symbol: Symbol | None) -> None:
        if symbol is not None and symbol in self._open:
            self._open.pop(symbol).connection.close()


def symbol_of(name: str) -> Symbol | None:
    """Whose file it is, ALL_SYMBOLS included, by the file's name; None when it is nobody's."""
    stem = name.removesuffix(SUFFIX)
    return Symbol(stem) if stem != name and (stem == ALL_SYMBOLS or is_symbol(stem)) else None


def _identity(path: Path) -> Identity | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in schema(_version(connection)):  # none where another process was faster
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
