"""Checkpoints beside the writer: logs are copied back, reused, and bounded however busy the writer is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from data_manager.storage.protocols import Event, Query, Write
from data_manager.storage.records import Symbol, Trade
from data_manager.storage.sqlite import SqliteMarketStore, checkpoints
from data_manager.storage.sqlite.checkpoints import frames_after_checkpoint
from data_manager.system.clock import SystemClock
from tests.eventually import eventually_sync

BTC = Symbol("BTCUSDT")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteMarketStore]:
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.02)
    with closing(SqliteMarketStore(tmp_path, clock=SystemClock())) as store:
        yield store


def write(store: SqliteMarketStore, first: int, rows: int = 50) -> None:
    trades = [Trade("trade", n, n, "1.0", "1.0", True, n, n, "MARKET", n, 1, 1) for n in range(first, first + rows)]
    store.write(BTC, Write(events=[Event("trade", trade) for trade in trades]))


def rows_without_the_log(file: Path, elsewhere: Path) -> int:
    """How many trades the file itself holds."""
    copy = elsewhere / "copy.sqlite3"
    copy.write_bytes(file.read_bytes())
    with closing(sqlite3.connect(copy)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
            return int(connection.execute("SELECT count(*) FROM trades").fetchone()[0])
        except sqlite3.DatabaseError:  # its very tables are in the log still, or were on their way when it was copied
            return 0


def test_what_was_committed_reaches_the_file_without_the_writers_help(store: SqliteMarketStore, tmp_path: Path) -> None:
    write(store, 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    eventually_sync(lambda: rows_without_the_log(tmp_path / "BTCUSDT.sqlite3", elsewhere) == 50)


def test_a_log_that_is_copied_is_reused_and_does_not_grow(store: SqliteMarketStore, tmp_path: Path) -> None:
    file = tmp_path / "BTCUSDT.sqlite3"
    write(store, 1)
    eventually_sync(lambda: frames_after_checkpoint(file) >= 0)
    size = (tmp_path / "BTCUSDT.sqlite3-wal").stat().st_size
    for round_ in range(1, 20):
        frames_after_checkpoint(file)
        write(store, 50 * round_ + 1)
    assert (tmp_path / "BTCUSDT.sqlite3-wal").stat().st_size <= 3 * size


def test_a_writer_that_outruns_the_thread_makes_a_checkpoint_itself(
    store: SqliteMarketStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "MAX_FRAMES", 20)
    log = tmp_path / "BTCUSDT.sqlite3-wal"
    for round_ in range(300):
        write(store, 50 * round_ + 1)
    assert store.count(BTC, Trade, Query(), cap=100_000) == 15_000
    assert log.stat().st_size < 300 * 8 * 4096, "a log that was never reused holds every page ever written"


def test_a_file_that_cannot_be_checkpointed_is_left_to_the_writer(tmp_path: Path) -> None:
    (tmp_path / "broken.sqlite3").write_bytes(b"this is no database, and long enough to be looked at" * 100)
    assert frames_after_checkpoint(tmp_path / "broken.sqlite3") > checkpoints.MAX_FRAMES


def test_closing_twice_is_harmless_and_leaves_no_log(tmp_path: Path) -> None:
    store = SqliteMarketStore(tmp_path, clock=SystemClock())
    write(store, 1)
    store.close()
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["BTCUSDT.sqlite3"]
