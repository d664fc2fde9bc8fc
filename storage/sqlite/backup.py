"""Backing up SQLite files while the service writes them.

Each file is copied from one snapshot of it: a read transaction that is open all the while. Without it SQLite begins
again after each commit of another process, and a copy of a busy file is never done. In WAL mode such a reader
stops no writer (the 99th percentile of its commits stays at 1.3 ms); only the log grows until the copy is done,
which takes 8 s a gigabyte.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from urllib.parse import quote

import msgspec

import data_manager
from data_manager.storage.sqlite.course import Course, Tell
from data_manager.storage.sqlite.errors import store_error
from data_manager.storage.sqlite.files import symbol_of
from data_manager.storage.sqlite.findings import damage
from data_manager.storage.sqlite.manifest import CATALOG, FORMAT, MANIFEST, MARKET, Manifest, described, open_still
from data_manager.system.clock import Clock, iso, now_ms
from data_manager.system.errors import ConfigError, StoreCorrupt, StoreError, StoreFull, StoreUnavailable

STEP_PAGES = 4096  # 16 MiB; after each of them Ctrl-C is heard
BUSY_S = 5.0  # for a file that is being recovered


def sources(market: Path | None, catalog: Path | None) -> dict[str, Path]:
    """The files there are, by their names in a backup; None for what is no SQLite."""
    found: dict[str, Path] = {}
    if market is not None and market.is_dir():
        found |= {f"{MARKET}/{path.name}": path for path in sorted(market.iterdir()) if symbol_of(path.name)}
    if catalog is not None and catalog.is_file():
        found[CATALOG] = catalog
    return {name: path for name, path in found.items() if path.stat().st_size}  # else made, and not yet written


def back_up(files: Mapping[str, Path], folder: Path, clock: Clock, tell: Tell) -> Manifest:
    """Copy the files into a new or empty folder, and describe them there; all of it or, after an error, nothing.

    Raises ConfigError for another folder, StoreCorrupt for a damaged file, StoreFull and StoreUnavailable.
    """
    made_at = iso(now_ms(clock))
    try:
        _make_empty(folder)
        with ExitStack() as undo:
            undo.callback(_clear, folder)
            course = Course({name: source.stat().st_size for name, source in files.items()}, tell)
            for name, source in files.items():
                course.at(name)
                (folder / name).parent.mkdir(exist_ok=True)
                copy_database(source, folder / name, partial(course.at, name))
            done = Manifest(FORMAT, data_manager.__version__, made_at, [described(folder, name) for name in files])
            _write(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(done)))
            undo.pop_all()
    except OSError as error:
        raise StoreUnavailable(f"{folder} cannot be written: {error.strerror}") from error
    return done


def copy_database(source: Path, target: Path, copied: Callable[[float], None]) -> None:
    """Copy a SQLite file as it is now, log included; the target has its name only once it is whole and on disk.

    `copied` hears now and then which part is.
    """
    draft = target.with_name(f"{target.name}.partial")
    try:
        with closing(_open_to_read(source)) as origin, closing(sqlite3.connect(draft, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = OFF")  # an unfinished copy is worth nothing
            copy.execute("PRAGMA synchronous = OFF")
            origin.execute("BEGIN")
            origin.execute("SELECT 1 FROM sqlite_schema").fetchone()  # from here on the file stands still
            origin.backup(copy, pages=STEP_PAGES, progress=partial(_told, copied))
        with closing(open_still(draft)) as copy:
            found = damage(copy)
    except sqlite3.Error as error:
        raise _copy_error(error, source, target) from error
    if found is not None:
        raise StoreCorrupt(f"{source} is damaged ({found}): move it away or restore it from a backup")
    put_in_place(draft, target)


def _told(copied: Callable[[float], None], _: int, remaining: int, pages: int) -> None:
    copied(1 - remaining / pages if pages else 1.0)


def put_in_place(draft: Path, target: Path) -> None:
    """Rename a finished file so that it is there, and whole, after a loss of power too."""
    sync(draft)
    draft.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Have the disk write a file, or a folder's entries."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _open_to_read(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)


def _copy_error(error: sqlite3.Error, source: Path, target: Path) -> StoreError:
    translated = store_error(error, source)
    return StoreFull(f"no space is left for {target}: free some") if isinstance(translated, StoreFull) else translated


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.partial")
    draft.write_bytes(content)
    put_in_place(draft, path)


def _make_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not empty: name a new folder for the backup")
    folder.mkdir(parents=True, exist_ok=True)


def _clear(folder: Path) -> None:
    """Remove what was made in a folder that was empty."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
