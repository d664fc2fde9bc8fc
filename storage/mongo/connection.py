"""The connection to one database: made at the first call, hence after the fork, and used by any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

import pymongo
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from data_manager.storage.mongo.documents import CODEC, Document
from data_manager.storage.mongo.errors import translating

SELECTION_MS = 2000  # until a server that is away is reported
POOL = 8  # connections: one writer and the readers of a small pool


class Connection:
    """The database `name` on the servers of `url`."""

    def __init__(self, url: str, name: str, *, write_concern: str, timeout_s: float) -> None:
        self._url = url
        self._name = name
        self._write_concern: int | str = int(write_concern) if write_concern.isdigit() else write_concern
        self._timeout_ms = max(1, int(timeout_s * 1000))
        self._lock = threading.Lock()
        self._client: MongoClient[Document] | None = None
        parts = urlsplit(url)
        self.place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{name}"  # what may be shown

    @contextmanager
    def using(self) -> Iterator[Database[Document]]:
        """The database; what its driver raises inside becomes an error of system/errors.py."""
        with translating(self.place):
            yield self.database

    def in_time(self) -> AbstractContextManager[object]:
        """Bounds all that is asked of the server inside by the time that a single answer may take."""
        return pymongo.timeout(self._timeout_ms / 1000)

    @property
    def database(self) -> Database[Document]:
        """The database itself, for callers inside `using`."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client.get_database(self._name, codec_options=CODEC)

    def collection(self, name: str) -> Collection[Document]:
        """One of its collections, likewise."""
        return self.database[name]

    def close(self) -> None:
        """Release the connections; the next call makes new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connect(self) -> MongoClient[Document]:
        return MongoClient(
            self._url,
            appname="petrosa-data-manager",
            w=self._write_concern,
            wTimeoutMS=self._timeout_ms,
            serverSelectionTimeoutMS=min(SELECTION_MS, self._timeout_ms),
            connectTimeoutMS=self._timeout_ms,
            socketTimeoutMS=self._timeout_ms,
            waitQueueTimeoutMS=self._timeout_ms,
            maxPoolSize=POOL,
        )
