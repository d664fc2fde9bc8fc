"""What a backup consists of: `manifest.json`, written last, and the files it names.

FOLDER/manifest.json
FOLDER/market/<SYMBOL>.sqlite3
FOLDER/catalog.sqlite3
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import msgspec

from data_manager.storage.sqlite.errors import store_error
from data_manager.storage.sqlite.files import symbol_of
from data_manager.storage.sqlite.tables import SCHEMA_VERSION
from data_manager.system.errors import ConfigError, StoreCorrupt

MANIFEST = "manifest.json"
FORMAT = 1
MARKET, CATALOG = "market", "catalog.sqlite3"


class BackedUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a backup, by its path in there."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """All of a backup."""

    format: int
    made_by: str  # the version of this program
    made_at: str
    files: Sequence[BackedUp]

    @property
    def has_market(self) -> bool:
        """Whether it holds market data."""
        return any(file.name != CATALOG for file in self.files)

    @property
    def has_catalog(self) -> bool:
        """Whether it holds the catalog."""
        return any(file.name == CATALOG for file in self.files)


def described(folder: Path, name: str) -> BackedUp:
    """A file of the folder as it is now."""
    with (folder / name).open("rb") as file:
        return BackedUp(name, os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup.

    Raises ConfigError where there is none, StoreCorrupt for one that cannot be used.
    """
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}): name the folder of a backup that was finished"
        ) from error
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"{path} is damaged ({error}): restore another backup") from error
    if manifest.format > FORMAT:
        raise StoreCorrupt(
            f"{path} has format {manifest.format}, this version reads up to {FORMAT}: "
            f"restore it with version {manifest.made_by}"
        )
    for file in manifest.files:
        if not _is_ours(file.name):
            raise StoreCorrupt(f"{path} names {file.name!r}, which is no part of a backup: restore another one")
    return manifest


def verify(manifest: Manifest, folder: Path) -> None:
    """Raise StoreCorrupt unless the folder holds every file as the manifest has it, and this version can read it."""
    for file in manifest.files:
        path = folder / file.name
        try:
            same = described(folder, file.name) == file
        except OSError as error:
            raise StoreCorrupt(f"{path} cannot be read ({error.strerror}): restore another backup") from error
        if not same:
            raise StoreCorrupt(f"{path} is not what its manifest says: it has changed, so restore another backup")
        version = 0 if file.name == CATALOG else format_of(path)
        if version > SCHEMA_VERSION:
            raise StoreCorrupt(
                f"{path} has format {version}, this version reads up to {SCHEMA_VERSION}: "
                f"restore it with version {manifest.made_by}"
            )


def format_of(path: Path) -> int:
    """The format of a market file that nobody writes."""
    try:
        with closing(open_still(path)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def open_still(path: Path) -> sqlite3.Connection:
    """A file that nobody writes, opened so that nothing is made beside it."""
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)


def _is_ours(name: str) -> bool:
    path = PurePosixPath(name)
    return name == CATALOG or (path.parent == PurePosixPath(MARKET) and symbol_of(path.name) is not None)
