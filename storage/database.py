"""One SQL database: its connections, transactions that are tried again, and errors in the project's terms."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
)

from data_manager.storage.database_errors import is_passing, store_error
from data_manager.system.errors import StoreError

T = TypeVar("T")

TIMEOUT_S = 5.0  # to connect, for an answer, for a lock
POOL_SIZE = 5
POOL_OVERFLOW = 10
POOL_RECYCLE_S = 1800  # before common servers and proxies close an idle connection
TRIES = 3
PAUSE_S = 0.2  # before the second try; doubled for the next
PAUSE_CAP_S = 5.0
MAINTENANCE_S = 600.0  # a change of schema copies tables

UNWRITABLE = (UnicodeError, OverflowError)  # a lone surrogate, a number beyond 64 bits: no driver takes them


class Database:
    """The database at `url`; nothing is connected before the first call, and every call may use its own thread.

    A `read_only` one has only read-only transactions. What waits for a connection, an answer or a lock gives up
    after `timeout_s`; no call is tried again that long after it began. A MySQL server ends a session of which it has
    not heard for `idle_s`, and its transaction with it.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        rng: random.Random | None = None,
        read_only: bool = False,
        idle_s: float | None = None,
    ) -> None:
        self._url = make_url(url)
        self._timeout_s = timeout_s
        self._read_only = read_only
        self._idle_s = idle_s
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._engine = self._make_engine(timeout_s)
        self._exponential = wait_exponential(multiplier=PAUSE_S, max=PAUSE_CAP_S)

    @property
    def place(self) -> str:
        """Where it is: what may be shown."""
        url = self._url
        if url.get_backend_name() == "sqlite":
            return str(url.database)
        return f"{url.get_backend_name()}://{url.host}:{url.port or 3306}/{url.database}"

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of `work(connection)` in one transaction.

        `work` runs up to TRIES times where the error means so, even after a commit whose answer was lost: twice
        must do what once does. Raises StoreError, and StoreUnavailable when trying again later may help.
        """

        def transaction() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        return self._retried(transaction)

    def maintain(self, work: Callable[[Engine], T]) -> T:
        """The result of `work(engine)`, tried again as in `run`; its statements may take MAINTENANCE_S."""

        def once() -> T:
            engine = self._make_engine(MAINTENANCE_S)
            try:
                return work(engine)
            finally:
                engine.dispose()

        return self._retried(once)

    def close(self) -> None:
        """Release connections; harmless when repeated."""
        self._engine.dispose()

    def _retried(self, work: Callable[[], T]) -> T:
        retrying = Retrying(
            retry=retry_if_exception(is_passing),
            stop=stop_after_attempt(TRIES) | stop_after_delay(self._timeout_s),
            wait=self._pause,
            reraise=True,
        )
        try:
            return retrying(work)
        except SQLAlchemyError as error:
            raise store_error(error, self.place) from error
        except UNWRITABLE as error:
            raise StoreError(f"{self.place} cannot hold that value: {error}") from error

    def _pause(self, state: RetryCallState) -> float:
        return self._exponential(state) * self._rng.uniform(0.5, 1)

    def _make_engine(self, answer_s: float) -> Engine:
        mysql = self._url.get_backend_name() == "mysql"
        engine = create_engine(
            self._url,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=self._timeout_s,
            pool_recycle=POOL_RECYCLE_S,
            pool_pre_ping=True,
            hide_parameters=True,  # rows stay out of messages
            connect_args=_mysql_arguments(self._timeout_s, answer_s) if mysql else {},
        )
        session = _mysql_session if mysql else _sqlite_session
        event.listen(engine, "connect", _prepare(session(self._timeout_s, self._read_only, self._idle_s)))
        return engine


def _mysql_arguments(timeout_s: float, answer_s: float) -> dict[str, object]:
    return {"charset": "utf8mb4", "connect_timeout": timeout_s, "read_timeout": answer_s, "write_timeout": answer_s}


def _mysql_session(timeout_s: float, read_only: bool, idle_s: float | None) -> list[str]:
    # The server gives up first, or its session would wait on when we are gone; and leaves time for another try.
    lock_s = max(int(timeout_s / 2), 1)
    return [
        f"SET SESSION innodb_lock_wait_timeout = {lock_s}, lock_wait_timeout = {lock_s}",
        # else a server may cut a key that is too long and say nothing
        "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')",
        *(["SET SESSION TRANSACTION READ ONLY"] if read_only else []),
        *([f"SET SESSION wait_timeout = {max(round(idle_s), 1)}"] if idle_s is not None else []),
    ]


def _sqlite_session(timeout_s: float, read_only: bool, _: float | None) -> list[str]:
    return [
        f"PRAGMA busy_timeout = {int(timeout_s * 1000)}",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = NORMAL",
        *(["PRAGMA query_only = ON"] if read_only else []),
    ]


def _prepare(statements: list[str]) -> Callable[[DBAPIConnection, ConnectionPoolEntry], None]:
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()

    return prepare
