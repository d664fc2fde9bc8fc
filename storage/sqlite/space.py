"""How much the files take, what is left on their disk, and the limit below which nothing more is written."""

from __future__ import annotations

import os
from pathlib import Path

from data_manager.storage.records import Symbol
from data_manager.storage.sqlite.files import SymbolFiles, symbol_of
from data_manager.system.errors import StoreCorrupt, StoreFull, StoreUnavailable


class Disk:
    """The file system that holds a folder."""

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes

    def free_bytes(self) -> int:
        """What this process may still write; raises StoreUnavailable without a folder."""
        status = self._status()
        return status.f_bavail * status.f_frsize

    def require_space(self) -> None:
        """Raise StoreFull when less is left than the limit: before a write fails for want of space half-way."""
        free = self.free_bytes()
        if free < self._min_free_bytes:
            raise StoreFull(
                f"{free >> 20} MiB are left for {self._folder}, and below {self._min_free_bytes >> 20} MiB nothing "
                "is written: free some space, or move the data folder to a larger disk"
            )

    def require_writable(self) -> None:
        """Raise StoreUnavailable when the file system is mounted read-only."""
        if self._status().f_flag & os.ST_RDONLY:
            raise StoreUnavailable(f"{self._folder} is on a file system that is mounted read-only")

    def _status(self) -> os.statvfs_result:
        try:
            return os.statvfs(self._folder)
        except OSError as error:
            raise StoreUnavailable(f"{self._folder} is not available: {error.strerror}") from error


def bytes_used(files: SymbolFiles) -> int:
    """The pages in use of all files; one that is damaged counts as long as it is."""
    return sum(_used(files, symbol) for symbol in map(symbol_of, files.names()) if symbol is not None)


def _used(files: SymbolFiles, symbol: Symbol) -> int:
    try:
        with files.reading(symbol) as connection:
            if connection is None:
                return 0
            pages, free, size = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
    except StoreCorrupt:
        return files.path(symbol).stat().st_size
    return int((pages - free) * size)
