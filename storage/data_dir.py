"""The data folder: where everything lives, and the lock that makes one process tree its owner."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from data_manager.system.errors import ConfigError

# SQLite's locks and shared memory do not work across hosts, and flock is not reliable either.
NETWORK_FILE_SYSTEMS = re.compile(r"(nfs\d*|cifs|smb\w*|ceph|glusterfs|lustre|fuse\.(sshfs|glusterfs|ceph\S*))")


class DataDir:
    """The folders of one deployment. `acquire` before anything is written there."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.market = self.path / "market"
        self.catalog = self.path / "catalog.sqlite3"
        self.jetstream = self.path / "jetstream"
        self.lock = self.path / "lock"
        self._lock_file: int | None = None

    def acquire(self, mounts: Path = Path("/proc/mounts")) -> None:
        """Make the folders and take the lock, for the life of this process and those it forks.

        Raises ConfigError for a network file system, a folder that cannot be written, and a folder in use.
        """
        try:
            for folder in (self.path, self.market, self.jetstream):
                folder.mkdir(parents=True, exist_ok=True)
            file_system = file_system_of(self.path.resolve(), mounts.read_text() if mounts.exists() else "")
            if NETWORK_FILE_SYSTEMS.fullmatch(file_system):
                raise ConfigError(
                    f"{self.path} is on a network file system ({file_system}), where SQLite can lose data: "
                    "set DATA_DIR to a local disk"
                )
            lock_file = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be used as data folder ({error.strerror}: {error.filename}): "
                "make it writable, or set DATA_DIR to another folder"
            ) from error
        try:
            self._lock(lock_file)
        except ConfigError:
            os.close(lock_file)
            raise
        self._lock_file = lock_file

    def _lock(self, lock_file: int) -> None:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock_file, 0)
            os.pwrite(lock_file, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(lock_file, 32, 0).decode().strip() or "unknown"
            raise ConfigError(
                f"{self.path} is in use by process {holder} (or one it started): "
                "stop it, or set DATA_DIR to another folder"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"{self.lock} cannot be locked ({error.strerror}): set DATA_DIR to a local disk"
            ) from error

    def release(self) -> None:
        """Give the lock back; harmless when repeated."""
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds `path`, by the text of /proc/mounts; empty when it does not say.

    A later mount on the same point hides the earlier one.
    """
    best, best_type = -1, ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1]))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, best_type = len(point.parts), fields[2]
    return best_type
