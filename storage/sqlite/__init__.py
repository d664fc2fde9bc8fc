"""Market data in SQLite: one file per symbol, written by its ingest actor and read by other processes."""

from data_manager.storage.sqlite.store import SqliteMarketStore

__all__ = ["SqliteMarketStore"]
