"""SqlCatalog: the Catalog protocol on SQLAlchemy Core."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Row, create_engine, delete, event, false, insert, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from data_manager.storage.catalog_tables import incidents, metadata
from data_manager.storage.data_dir import DataDir
from data_manager.storage.protocols import Incident
from data_manager.storage.sqlite.errors import store_error
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import StoreError, StoreUnavailable

BUSY_S = 5
INCIDENT_DAYS = 90  # an incident that ended is kept this long after its start
_DAY_MS = 86_400_000


def catalog_url(data_dir: Path) -> str:
    """The catalog of a deployment without MySQL: a file in its data folder."""
    return f"sqlite:///{DataDir(data_dir).catalog}"


class SqlCatalog:
    """Incidents in a database; its tables are made at the first use."""

    def __init__(self, url: str, *, clock: Clock) -> None:
        self._url = make_url(url)
        self._clock = clock
        self._engine = create_engine(self._url, pool_pre_ping=True, pool_size=2, max_overflow=0)
        self._ready = False
        if self._url.get_backend_name() == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)

    def save_incident(self, incident: Incident) -> None:
        """Insert it, or update the one with the same id; forget those of INCIDENT_DAYS ago that ended."""
        values = {
            "kind": incident.kind,
            "subject": incident.subject,
            "cause": incident.cause,
            "detail": incident.detail,
            "started_at": incident.started_ms,
            "ended_at": incident.ended_ms,
        }
        change = update(incidents).where(incidents.c.incident_id == incident.incident_id).values(values)
        with self._transaction() as connection:
            if connection.execute(change).rowcount:  # found or not, SQLite holds the write lock from here on
                return
            connection.execute(insert(incidents).values(incident_id=incident.incident_id, **values))
            oldest = now_ms(self._clock) - INCIDENT_DAYS * _DAY_MS
            ended = incidents.c.ended_at.is_not(None)
            connection.execute(delete(incidents).where(incidents.c.started_at < oldest, ended))

    def incidents(self, limit: int = 100, open_only: bool = False) -> list[Incident]:
        """The newest first."""
        query = select(incidents).order_by(incidents.c.started_at.desc(), incidents.c.incident_id).limit(limit)
        if open_only:
            query = query.where(incidents.c.ended_at.is_(None))
        with self._transaction() as connection:
            return [_incident(row) for row in connection.execute(query)]

    def check(self) -> None:
        """Return when the catalog can be read and written now; raise StoreError otherwise."""
        with self._transaction() as connection:  # takes the write lock and changes nothing
            connection.execute(update(incidents).where(false()).values(detail=""))

    def close(self) -> None:
        """Release connections; harmless when repeated."""
        self._engine.dispose()

    def _make_tables(self) -> None:
        try:
            metadata.create_all(self._engine)
        except OperationalError:  # another process made them between the look and the CREATE; now they are seen
            metadata.create_all(self._engine)
        self._ready = True

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            if not self._ready:
                self._make_tables()
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise _store_error(error, self._url) from error


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in (f"busy_timeout = {BUSY_S * 1000}", "journal_mode = WAL", "synchronous = NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _store_error(error: SQLAlchemyError, url: URL) -> StoreError:
    place = url.render_as_string(hide_password=True)
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return store_error(cause, url.database)
    if isinstance(error, OperationalError | InterfaceError):
        return StoreUnavailable(f"the catalog {place} is not available: {cause}")
    return StoreError(f"the catalog {place} cannot do what was asked: {cause}")


def _incident(row: Row[tuple[object, ...]]) -> Incident:
    return Incident(
        incident_id=row.incident_id,
        kind=row.kind,
        subject=row.subject,
        cause=row.cause,
        started_ms=row.started_at,
        ended_ms=row.ended_at,
        detail=row.detail,
    )
