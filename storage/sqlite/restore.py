"""Putting a backup in the place of what is there, which is moved aside and never deleted.

Everything is copied and verified beside the old data first; what is left then are a few renames, undone if one of
them fails. Killed between them, the same command with `replace` ends well: nothing was deleted.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import msgspec

from data_manager.storage.data_dir import DataDir
from data_manager.storage.sqlite.backup import sync
from data_manager.storage.sqlite.course import Course, Tell
from data_manager.storage.sqlite.manifest import CATALOG, MARKET, Manifest, read_manifest, verify
from data_manager.system.clock import Clock, now_ms, to_datetime
from data_manager.system.errors import ConfigError, StoreUnavailable


class Restored(msgspec.Struct, frozen=True):
    """What was put in place, and where what was there is now; None when nothing was."""

    manifest: Manifest
    moved_aside: Path | None


def restore(folder: Path, data: DataDir, clock: Clock, tell: Tell, *, replace: bool = False) -> Restored:
    """Verify a backup and put it in place, all of it or nothing; the service must not run.

    Raises ConfigError while it does, for a folder that is no backup, and for data that is there unless `replace`;
    StoreCorrupt for a backup that is damaged or too new, StoreUnavailable for folders that cannot be written.
    """
    manifest = read_manifest(folder)
    course = Course({file.name: file.bytes for file in manifest.files}, tell)
    course.before("verifying")
    verify(manifest, folder)
    data.acquire()
    try:
        old = _present(data, manifest)
        if old and not replace:
            raise ConfigError(f"{data.path} holds data: give --replace to move it aside and restore in its place")
        stamp = f"{to_datetime(now_ms(clock)):%Y%m%dT%H%M%SZ}"
        aside = data.path / f"replaced-{stamp}" if old else None
        with ExitStack() as cleaning:
            stage = data.path / f"restoring-{stamp}"
            stage.mkdir()
            cleaning.callback(shutil.rmtree, stage)
            _copy(manifest, folder, stage, course)
            verify(manifest, stage)
            _switch(data, manifest, stage, old, aside)
    except OSError as error:
        raise StoreUnavailable(f"{data.path} cannot be written ({error.strerror}): nothing was restored") from error
    finally:
        data.release()
    return Restored(manifest, aside)


def _present(data: DataDir, manifest: Manifest) -> list[Path]:
    """What the backup would overwrite: the market folder with anything in it, the catalog with its logs."""
    present = [data.market] if manifest.has_market and any(data.market.iterdir()) else []
    if manifest.has_catalog:
        beside = (data.path / f"{CATALOG}{suffix}" for suffix in ("", "-wal", "-shm", "-journal"))
        present += [path for path in beside if path.exists()]
    return present


def _copy(manifest: Manifest, folder: Path, stage: Path, course: Course) -> None:
    for file in manifest.files:
        course.at(file.name)
        target = stage / file.name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / file.name, target)
        sync(target)
        sync(target.parent)


def _switch(data: DataDir, manifest: Manifest, stage: Path, old: list[Path], aside: Path | None) -> None:
    moves = [(path, aside / path.name) for path in old] if aside else []
    moves += [(stage / MARKET, data.market)] if manifest.has_market else []
    moves += [(stage / CATALOG, data.catalog)] if manifest.has_catalog else []
    with ExitStack() as undo:
        if aside:
            aside.mkdir()
            undo.callback(aside.rmdir)
        for source, target in moves:
            source.rename(target)
            undo.callback(target.rename, source)
        sync(data.path)
        undo.pop_all()
