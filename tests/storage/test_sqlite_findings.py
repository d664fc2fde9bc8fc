"""What is found wrong in a folder of market files: damage, newer formats, and what does not belong there."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from data_manager.storage.records import ALL_SYMBOLS, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.storage.sqlite import findings as findings_module
from data_manager.storage.sqlite.tables import SCHEMA_VERSION
from data_manager.system.errors import StoreUnavailable
from tests.storage.examples import BTC, FixedClock, received, trade

ETH = Symbol("ETHUSDT")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two symbols with rows, closed."""
    with closing(SqliteMarketStore(tmp_path / "market", clock=FixedClock())) as store:
        for symbol in (BTC, ETH, ALL_SYMBOLS):
            store.write(symbol, received(*map(trade, range(3000))))
    return tmp_path / "market"


@pytest.fixture
def reader(folder: Path) -> Iterator[SqliteMarketStore]:
    with closing(SqliteMarketStore(folder, clock=FixedClock(), read_only=True)) as store:
        yield store


def overwrite(file: Path, start: int, length: int) -> None:
    with file.open("r+b") as handle:
        handle.seek(start)
        handle.write(b"\xff" * length)


def test_a_damaged_page_is_found_and_its_neighbours_are_well(folder: Path, reader: SqliteMarketStore) -> None:
    file = folder / "BTCUSDT.sqlite3"
    before = reader.data_bytes()
    reader.close()
    overwrite(file, file.stat().st_size - 20 * 4096, 8192)
    (found,) = reader.findings()
    assert found.startswith(f"{file} is damaged (")
    assert found.endswith("move it away or restore it from a backup")
    assert "\n" not in found
    assert reader.data_bytes() == before


def test_of_a_large_file_the_head_alone_is_read(
    folder: Path, reader: SqliteMarketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings_module, "CHECKED_BYTES", 4096)
    file = folder / "BTCUSDT.sqlite3"
    overwrite(file, file.stat().st_size - 20 * 4096, 8192)
    assert reader.findings() == []
    reader.close()
    overwrite(file, 0, 16)
    (found,) = reader.findings()
    assert found.startswith(f"{file} is damaged (")


def test_a_file_without_its_header_counts_as_long_as_it_is(folder: Path, reader: SqliteMarketStore) -> None:
    before, length = reader.data_bytes(), (folder / "BTCUSDT.sqlite3").stat().st_size
    reader.close()
    overwrite(folder / "BTCUSDT.sqlite3", 0, 16)
    assert before <= reader.data_bytes() <= before + length


def test_a_file_of_a_newer_version_is_found(folder: Path, reader: SqliteMarketStore) -> None:
    with closing(sqlite3.connect(folder / "ETHUSDT.sqlite3")) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    (found,) = reader.findings()
    assert f"ETHUSDT.sqlite3 has format {SCHEMA_VERSION + 1}, this version reads up to {SCHEMA_VERSION}" in found


def test_a_database_without_our_tables_is_found(folder: Path, reader: SqliteMarketStore) -> None:
    with closing(sqlite3.connect(folder / "XRPUSDT.sqlite3")) as connection:
        connection.execute("CREATE TABLE other (x)")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    (found,) = reader.findings()
    assert "XRPUSDT.sqlite3 cannot do what was asked: no such table: head" in found


def test_a_folder_with_a_symbols_name_is_found(folder: Path, reader: SqliteMarketStore) -> None:
    (folder / "XRPUSDT.sqlite3").mkdir()
    (found,) = reader.findings()
    assert "XRPUSDT.sqlite3 is not available" in found


def test_an_empty_file_is_one_to_be_filled(folder: Path, reader: SqliteMarketStore) -> None:
    (folder / "XRPUSDT.sqlite3").touch()
    assert reader.findings() == []
    assert reader.data_bytes() > 0


def test_copies_under_other_names_and_logs_without_files_are_strangers(folder: Path, reader: SqliteMarketStore) -> None:
    shutil.copy(folder / "BTCUSDT.sqlite3", folder / "btcusdt copy.sqlite3")
    (folder / "OLDUSDT.sqlite3-wal").write_bytes(b"frames")
    (folder / "notes.txt").touch()
    assert reader.findings() == [
        f"{folder}/OLDUSDT.sqlite3-wal is the log of OLDUSDT.sqlite3, which is gone: "
        "put that back beside it, or move it away",
        f"{folder}/btcusdt copy.sqlite3 lies among the market files, but its name is no symbol's: move it away",
    ]
    assert reader.symbols() == [BTC, ETH]


def test_nothing_can_be_found_without_a_folder(tmp_path: Path) -> None:
    with closing(SqliteMarketStore(tmp_path / "none", clock=FixedClock(), read_only=True)) as store:
        for question in (store.findings, store.data_bytes):
            with pytest.raises(StoreUnavailable, match="none is not available"):
                question()
