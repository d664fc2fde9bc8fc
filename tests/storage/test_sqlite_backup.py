"""Backups of SQLite files: whole, described, and put back all or nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.data_dir import DataDir
from data_manager.storage.protocols import Query
from data_manager.storage.records import ALL_SYMBOLS, Symbol, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.storage.sqlite import backup as backup_module
from data_manager.storage.sqlite.backup import back_up, sources
from data_manager.storage.sqlite.manifest import MANIFEST, described, read_manifest, verify
from data_manager.storage.sqlite.restore import Restored, restore
from data_manager.storage.sqlite.tables import SCHEMA_VERSION
from data_manager.system.errors import ConfigError, StoreCorrupt, StoreError, StoreFull, StoreUnavailable
from tests.storage.examples import BTC, FixedClock, quarantined, received, trade

ETH = Symbol("ETHUSDT")
CLOCK = FixedClock(1_700_000_000_000)  # 2023-11-14 22:13:20
STAMP = "20231114T221320Z"


class Deployment:
    """A data folder with market files and a catalog."""

    def __init__(self, path: Path) -> None:
        self.data = DataDir(path)

    def open(self, **options: bool) -> SqliteMarketStore:
        return SqliteMarketStore(self.data.market, clock=CLOCK, **options)  # type: ignore[arg-type]

    def fill(self, trades: int) -> Deployment:
        with closing(self.open()) as store:
            store.write(BTC, received(*map(trade, range(trades))))
            store.write(ALL_SYMBOLS, received(quarantined(1)))
        self.note(f"{trades} trades")
        return self

    def note(self, text: str) -> None:
        with closing(sqlite3.connect(self.data.catalog)) as connection, connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS notes (text)")
            connection.execute("INSERT INTO notes VALUES (?)", (text,))

    def notes(self) -> list[str]:
        with closing(sqlite3.connect(self.data.catalog)) as connection:
            return [text for (text,) in connection.execute("SELECT text FROM notes")]

    def trades(self) -> int:
        with closing(self.open(read_only=True)) as store:
            return store.count(BTC, Trade, Query(), cap=10**9)

    def back_up(self, folder: Path) -> None:
        back_up(sources(self.data.market, self.data.catalog), folder, CLOCK, str)

    def restore(self, folder: Path, *, replace: bool = False) -> Restored:
        return restore(folder, self.data, CLOCK, str, replace=replace)

    def left_over(self) -> list[str]:
        return sorted(path.name for path in self.data.path.glob("re*-*"))


New = Callable[[str], Deployment]


@pytest.fixture
def new(tmp_path: Path) -> New:
    return lambda name: Deployment(tmp_path / name)


@pytest.fixture
def backup(tmp_path: Path, new: New) -> Path:
    """Of 20 trades."""
    new("source").fill(20).back_up(tmp_path / "backup")
    return tmp_path / "backup"


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# -- backing up ---------------------------------------------------------------------------------------------


def test_a_backup_holds_every_file_and_a_manifest_that_fits_it(backup: Path) -> None:
    names = ["catalog.sqlite3", MANIFEST, "market/BTCUSDT.sqlite3", "market/_all.sqlite3"]
    assert files_in(backup) == names
    manifest = read_manifest(backup)
    assert [file.name for file in manifest.files] == ["market/BTCUSDT.sqlite3", "market/_all.sqlite3", names[0]]
    assert manifest.made_at == "2023-11-14T22:13:20.000000+00:00"
    for file in manifest.files:
        assert file == described(backup, file.name)
        assert file.bytes == (backup / file.name).stat().st_size
    verify(manifest, backup)


def test_a_copy_can_shrink_as_the_original_could(backup: Path) -> None:
    with closing(sqlite3.connect(backup / "market" / "BTCUSDT.sqlite3")) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_is_still_in_the_log_is_backed_up_too(tmp_path: Path, new: New) -> None:
    source = new("source")
    with closing(source.open()) as store:
        store.write(BTC, received(trade(1)))
        assert (source.data.market / "BTCUSDT.sqlite3-wal").stat().st_size
        source.back_up(tmp_path / "backup")
    new("target").restore(tmp_path / "backup")
    assert new("target").trades() == 1


def test_a_copy_is_of_the_moment_it_began_whatever_is_committed_meanwhile(
    tmp_path: Path, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = new("source").fill(500)
    with closing(source.open()) as writer:

        class Disturbed(sqlite3.Connection):
            def backup(self, target: sqlite3.Connection, **options: Any) -> None:
                ids = count(500)

                def write_more(*_: int) -> None:
                    if (number := next(ids)) < 600:
                        writer.write(BTC, received(trade(number)))

                super().backup(target, pages=options["pages"], progress=write_more)

        def open_disturbed(path: Path) -> sqlite3.Connection:
            return sqlite3.connect(path, isolation_level=None, factory=Disturbed)

        monkeypatch.setattr(backup_module, "_open_to_read", open_disturbed)
        monkeypatch.setattr(backup_module, "STEP_PAGES", 1)
        back_up(sources(source.data.market, None), tmp_path / "backup", CLOCK, str)
    assert source.trades() > 500
    new("target").restore(tmp_path / "backup")
    assert new("target").trades() == 500


def test_files_that_are_none_of_ours_or_empty_stay_out(tmp_path: Path, new: New) -> None:
    source = new("source").fill(1)
    for name in ("notes.txt", "copy of BTCUSDT.sqlite3", "XRPUSDT.sqlite3"):
        (source.data.market / name).touch()
    assert list(sources(source.data.market, None)) == ["market/BTCUSDT.sqlite3", "market/_all.sqlite3"]
    assert list(sources(None, source.data.catalog)) == ["catalog.sqlite3"]
    assert sources(tmp_path / "none", tmp_path / "none") == {}


@pytest.mark.parametrize("there", ["file", "folder"])
def test_a_backup_is_made_in_a_new_or_empty_folder_only(tmp_path: Path, new: New, there: str) -> None:
    source, folder = new("source").fill(1), tmp_path / "backup"
    if there == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        source.back_up(folder)
    before = files_in(tmp_path)
    with pytest.raises(ConfigError, match="exists and is not empty"):
        source.back_up(folder)
    assert files_in(tmp_path) == before


def test_a_damaged_file_is_named_and_nothing_is_left_of_its_backup(tmp_path: Path, new: New) -> None:
    source = new("source").fill(3000)
    file = source.data.market / "BTCUSDT.sqlite3"
    with file.open("r+b") as handle:
        handle.seek(file.stat().st_size - 20 * 4096)
        handle.write(b"\xff" * 8192)
    (tmp_path / "backup").mkdir()
    with pytest.raises(StoreCorrupt, match=f"^{file} is damaged"):
        source.back_up(tmp_path / "backup")
    assert list((tmp_path / "backup").iterdir()) == []


def test_a_backup_that_was_broken_off_leaves_nothing(tmp_path: Path, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup_module, "sync", full)
    with pytest.raises(StoreUnavailable, match="backup cannot be written: No space left on device"):
        new("source").fill(1).back_up(tmp_path / "backup")
    assert list((tmp_path / "backup").iterdir()) == []


def test_a_full_disk_is_that_of_the_backup() -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    translated = backup_module._copy_error(error, Path("/source"), Path("/target"))
    assert type(translated) is StoreFull
    assert "/target" in str(translated)


# -- restoring ----------------------------------------------------------------------------------------------


def test_what_was_restored_is_what_was_backed_up_and_can_be_written_on(backup: Path, new: New) -> None:
    target = new("target")
    assert target.restore(backup).moved_aside is None
    assert (target.trades(), target.notes()) == (20, ["20 trades"])
    assert target.fill(25).trades() == 25
    assert target.left_over() == []
    with closing(target.open(read_only=True)) as store:
        assert store.ledger(BTC).total.balanced
        assert store.findings() == []


def test_data_that_is_there_is_not_overwritten(backup: Path, new: New) -> None:
    target = new("target").fill(5)
    with pytest.raises(ConfigError, match="holds data: give --replace"):
        target.restore(backup)
    assert (target.trades(), target.notes(), target.left_over()) == (5, ["5 trades"], [])


def test_data_that_is_replaced_is_moved_aside_whole(backup: Path, new: New) -> None:
    target = new("target").fill(5)
    (target.data.path / "catalog.sqlite3.mine").write_text("kept")
    done = target.restore(backup, replace=True)
    assert (target.trades(), target.notes()) == (20, ["20 trades"])
    aside = target.data.path / f"replaced-{STAMP}"
    assert done.moved_aside == aside
    assert target.left_over() == [aside.name]
    assert (target.data.path / "catalog.sqlite3.mine").exists()
    old = Deployment(aside)
    assert (old.trades(), old.notes()) == (5, ["5 trades"])


def test_the_log_of_a_catalog_goes_with_it(backup: Path, new: New) -> None:
    """A killed service leaves one; beside another catalog it would be read as that one's."""
    target = new("target").fill(5)
    with closing(sqlite3.connect(target.data.catalog)) as left_open, left_open:
        left_open.execute("INSERT INTO notes VALUES ('in the log')")
        left_open.commit()
        done = target.restore(backup, replace=True)
        assert target.notes() == ["20 trades"]
        assert done.moved_aside is not None
        assert Deployment(done.moved_aside).notes() == ["5 trades", "in the log"]


def test_of_a_backup_without_a_catalog_the_catalog_stays(tmp_path: Path, new: New) -> None:
    back_up(sources(new("source").fill(20).data.market, None), tmp_path / "backup", CLOCK, str)
    target = new("target").fill(5)
    target.restore(tmp_path / "backup", replace=True)
    assert (target.trades(), target.notes()) == (20, ["5 trades"])


def test_nothing_is_restored_while_the_service_runs(backup: Path, new: New) -> None:
    target, service = new("target"), new("target")
    service.data.acquire()
    try:
        with pytest.raises(ConfigError, match="is in use by process"):
            target.restore(backup)
    finally:
        service.data.release()
    target.restore(backup)
    service.data.acquire()  # the lock was given back
    service.data.release()


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_rename_that_fails_leaves_everything_as_it_was(
    backup: Path, new: New, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """There are four: market and catalog aside, market and catalog in place."""
    target, original, renames = new("target").fill(5), Path.rename, count(1)
    before = sorted(path.name for path in target.data.path.iterdir())

    def rename(self: Path, other: Path) -> Path:
        if next(renames) == failing:
            raise OSError(5, "Input/output error")
        return original(self, other)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        with pytest.raises(StoreUnavailable, match="nothing was restored"):
            target.restore(backup, replace=True)
    assert (target.trades(), target.notes()) == (5, ["5 trades"])
    there = {path.name for path in target.data.path.iterdir() if not path.name.endswith(("-shm", "-wal"))}
    assert there == {*before, "lock", "jetstream"}
    target.restore(backup, replace=True)
    assert target.trades() == 20


def changed_file(folder: Path) -> None:
    file = folder / "market" / "BTCUSDT.sqlite3"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def cut_file(folder: Path) -> None:
    file = folder / "catalog.sqlite3"
    file.write_bytes(file.read_bytes()[:-1])


def missing_file(folder: Path) -> None:
    (folder / "market" / "_all.sqlite3").unlink()


def edit(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def newer_market_file(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "market" / "BTCUSDT.sqlite3")) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    name = "market/BTCUSDT.sqlite3"
    now = described(folder, name)
    edit(folder, lambda manifest: manifest.update(files=[{"name": name, "bytes": now.bytes, "sha256": now.sha256}]))


@pytest.mark.parametrize(
    ("spoil", "kind", "sentence"),
    [
        (changed_file, StoreCorrupt, "BTCUSDT.sqlite3 is not what its manifest says"),
        (cut_file, StoreCorrupt, "catalog.sqlite3 is not what its manifest says"),
        (missing_file, StoreCorrupt, "_all.sqlite3 cannot be read"),
        (newer_market_file, StoreCorrupt, f"has format {SCHEMA_VERSION + 1}, this version reads up to"),
        (lambda folder: (folder / MANIFEST).unlink(), ConfigError, "name the folder of a backup that was finished"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), StoreCorrupt, "manifest.json is damaged"),
        (lambda folder: edit(folder, lambda m: m.update(format=2)), StoreCorrupt, "restore it with version"),
        (
            lambda folder: edit(folder, lambda m: m["files"][0].update(name="market/../../evil.sqlite3")),  # type: ignore
            StoreCorrupt,
            "no part of a backup",
        ),
    ],
)
def test_a_backup_that_is_not_whole_changes_nothing(
    backup: Path, new: New, spoil: Callable[[Path], object], kind: type[StoreError], sentence: str
) -> None:
    spoil(backup)
    target = new("target").fill(5)
    with pytest.raises(kind, match=sentence):
        target.restore(backup, replace=True)
    assert (target.trades(), target.notes(), target.left_over()) == (5, ["5 trades"], [])
