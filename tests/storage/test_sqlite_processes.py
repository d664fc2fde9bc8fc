"""SQLite files shared by processes: a writer killed at any moment, readers beside it, two writers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from data_manager.storage.protocols import Query, Write
from data_manager.storage.records import Series, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.errors import StoreError
from tests.eventually import eventually_sync
from tests.storage.examples import BTC, T0, FixedClock, trade

SIZE = 40
ROOT = Path(__file__).parents[2]

Spawn = Callable[[int], "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "market"


@pytest.fixture
def spawn(folder: Path) -> Iterator[Spawn]:
    """Starts writer processes; kills what is left of them."""
    started: list[subprocess.Popen[str]] = []

    def start(first: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.storage.writer_process", str(folder), str(SIZE), str(first)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def reader(folder: Path) -> Iterator[SqliteMarketStore]:
    store = SqliteMarketStore(folder, clock=FixedClock(), read_only=True)
    yield store
    store.close()


def committed(process: subprocess.Popen[str], batches: int) -> int:
    """The number of the last of so many batches, once they are committed."""
    assert process.stdout is not None
    numbers = [int(process.stdout.readline()) for _ in range(batches)]
    return numbers[-1]


def trade_ids(store: SqliteMarketStore) -> list[int]:
    return [row.trade_id for row in store.rows(BTC, Trade, Query(limit=10**9))]


def test_a_writer_killed_mid_stream_leaves_whole_batches_that_its_ledger_knows(
    folder: Path, spawn: Spawn, reader: SqliteMarketStore
) -> None:
    first = 1
    for kill in range(5):
        process = spawn(first)
        acknowledged = committed(process, 20 + 7 * kill)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        ids, totals = trade_ids(reader), reader.ledger(BTC)  # read before any writer has recovered the file
        last = totals.last_market_seq
        assert last >= acknowledged
        assert ids == list(range(SIZE, (last + 1) * SIZE))
        assert (totals.total.received, totals.total.stored) == (2 * len(ids), len(ids))
        assert totals.total.balanced
        assert totals.last_position == ids[-1] << 12
        first = last + 1
    writer = SqliteMarketStore(folder, clock=FixedClock())
    writer.check()
    assert writer.ledger(BTC) == totals
    assert writer.seen_positions(BTC, 5, [ids[0] << 12, ids[-1] << 12, 1]) == {ids[0] << 12, ids[-1] << 12}
    writer.close()


def test_a_reader_sees_whole_batches_while_another_process_writes(spawn: Spawn, reader: SqliteMarketStore) -> None:
    process = spawn(1)
    committed(process, 1)
    sizes: list[int] = []

    def grew_ten_times() -> bool:
        sizes.append(reader.count(BTC, Trade, Query(), cap=10**9))
        totals = reader.ledger(BTC)
        assert totals.total.stored == totals.last_market_seq * SIZE
        return len(set(sizes)) > 10

    eventually_sync(grew_ten_times, timeout=30, every=0.001)
    assert sizes == sorted(sizes)
    assert all(size % SIZE == 0 for size in sizes)
    assert process.poll() is None


def test_rows_are_served_expired_and_backed_up_while_another_process_writes(
    tmp_path: Path, folder: Path, spawn: Spawn, reader: SqliteMarketStore
) -> None:
    writer = spawn(1)
    committed(writer, 50)
    command = [sys.executable, "-m", "data_manager", "store", "backup", "backup", "--data-dir", str(tmp_path)]
    expired, seen = 0, []
    with (
        closing(SqliteMarketStore(folder, clock=FixedClock())) as keeper,
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as backup,
    ):
        while backup.poll() is None:
            expired += keeper.expire(Series(BTC, Trade), T0 + 1, limit=SIZE)
            seen.append(trade_ids(reader))
        assert backup.stderr is not None
        assert backup.returncode == 0, backup.stderr.read()
    committed(writer, 20)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert len(seen) > 5
    assert all(ids == list(range(ids[0], ids[-1] + 1)) for ids in seen if ids)
    totals, left = reader.ledger(BTC), trade_ids(reader)
    assert expired > 0
    assert expired + len(left) == totals.total.stored == totals.last_market_seq * SIZE
    with closing(SqliteMarketStore(tmp_path / "backup" / "market", clock=FixedClock())) as copy:
        copied, ids = copy.ledger(BTC), trade_ids(copy)
    assert 50 <= copied.last_market_seq < totals.last_market_seq
    assert copied.total.stored == copied.last_market_seq * SIZE  # rows and ledger are of one moment
    assert not ids or ids == list(range(ids[0], (copied.last_market_seq + 1) * SIZE))


def test_two_writers_on_one_file_store_everything_once(spawn: Spawn, reader: SqliteMarketStore) -> None:
    """Both create the file at the same time, then write the same batches in turns."""
    processes = [spawn(1), spawn(1)]
    last = [committed(process, 60) for process in processes]
    assert last == [60, 60]
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    ids, total = trade_ids(reader), reader.ledger(BTC).total
    assert ids == list(range(SIZE, SIZE + len(ids)))
    assert total.stored == len(ids)
    assert total.balanced
    assert total.received >= 2 * 60 * 2 * SIZE


def test_rows_are_merged_while_another_process_writes_the_same_ones(
    folder: Path, spawn: Spawn, reader: SqliteMarketStore
) -> None:
    """The merger goes ahead of the writer and is overtaken: whoever comes second finds the row there."""
    process = spawn(1)
    inserted = 0
    with closing(SqliteMarketStore(folder, clock=FixedClock())) as merger:
        for _ in range(20):
            ahead = (committed(process, 1) + 3) * SIZE
            page = [trade(number, feed_seq=0, market_seq=0) for number in range(ahead, ahead + 10 * SIZE)]
            merged = merger.merge(BTC, page)
            assert (merged.replaced, merged.differences) == (0, ())
            inserted += merged.inserted
            assert merger.merge(BTC, page).inserted == 0
        committed(process, 10)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        ids, total = trade_ids(reader), reader.ledger(BTC).total
        assert merger.ledger(BTC).total == total
    assert len(ids) == len(set(ids)) == total.stored + inserted
    assert inserted > 0
    assert total.balanced


def test_readers_create_nothing(folder: Path, reader: SqliteMarketStore) -> None:
    assert trade_ids(reader) == []
    assert not folder.exists()
    folder.mkdir()
    assert trade_ids(reader) == []
    assert list(folder.iterdir()) == []


def test_a_reader_cannot_write(folder: Path, reader: SqliteMarketStore) -> None:
    with pytest.raises(StoreError, match="reading"):
        reader.write(BTC, Write())
    with pytest.raises(StoreError, match="reading"):
        reader.merge(BTC, [trade(1)])
    with pytest.raises(StoreError, match="reading"):
        reader.expire(Series(BTC, Trade), T0)
    assert not folder.exists()


def test_importing_the_store_loads_no_heavy_library() -> None:
    heavy = "{'sqlalchemy', 'numpy', 'pandas', 'sklearn', 'pyod', 'aiohttp', 'pymongo'}"
    code = f"import sys, data_manager.storage.sqlite; print({heavy} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "set()"
