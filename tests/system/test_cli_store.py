import io
import json
import os
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from data_manager.storage.data_dir import DataDir
from data_manager.storage.protocols import Query
from data_manager.storage.records import Trade
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.storage.sqlite.course import Step
from data_manager.system.commands.store import dump_commands, size, told
from data_manager.system.settings import Settings
from data_manager.system.settings_sources import NAMES
from tests.http.serving import StillClock
from tests.servers.databases import free_port
from tests.storage.examples import BTC, FixedClock, candle, received, trade


def store_command(*arguments: object, folder: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run `data-manager store` on the data in `folder/data`."""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    return subprocess.run(
        [sys.executable, "-m", "data_manager", "store", *map(str, arguments)],
        env={**clean, "DATA_DIR": str(folder / "data"), **environ},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def fill(folder: Path, trades: int = 30) -> Path:
    """The market folder, with rows of one symbol."""
    market = folder / "data" / "market"
    with closing(SqliteMarketStore(market, clock=FixedClock())) as store:
        store.write(BTC, received(candle(0), *map(trade, range(trades))))
    return market


def trades(market: Path) -> int:
    with closing(SqliteMarketStore(market, clock=FixedClock(), read_only=True)) as store:
        return store.count(BTC, Trade, Query())


# -- stats --------------------------------------------------------------------------------------------------


def test_stats_count_every_series_as_a_table_and_as_json(tmp_path: Path):
    market = fill(tmp_path)
    done = store_command("stats", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["DATASET", "ROWS", "OLDEST", "NEWEST", "SIZE"]
    assert lines[1][:2] == ["candles_BTCUSDT_1m", "1"]
    assert lines[2] == ["trades_BTCUSDT", "30", "2023-11-14T22:14:00+00:00", "2023-11-14T22:14:00+00:00", "-"]
    report = json.loads(store_command("stats", "--json", folder=tmp_path).stdout)
    assert report["back_ends"]["market_store"] == f"sqlite files in {market}"
    assert report["data_bytes"] > 0
    assert report["free_bytes"] > 0
    assert report["findings"] == []
    assert report["held"][1] == {
        "symbol": "BTCUSDT",
        "dataset": "trades_BTCUSDT",
        "rows": 30,
        "oldest": "2023-11-14T22:14:00.000000+00:00",
        "newest": "2023-11-14T22:14:00.029000+00:00",
        "bytes": None,
    }


def test_stats_of_a_damaged_file_name_it_once_count_the_others_and_end_with_1(tmp_path: Path):
    market = fill(tmp_path)
    (market / "ETHUSDT.sqlite3").write_bytes(b"no database at all, though long enough to be one " * 100)
    done = store_command("stats", folder=tmp_path)
    assert done.returncode == 1
    found = [line for line in done.stdout.splitlines() if line.startswith("found: ")]
    assert len(found) == 1
    assert f"{market}/ETHUSDT.sqlite3 is damaged" in found[0]
    assert "trades_BTCUSDT" in done.stdout


def test_stats_find_damage_that_only_counting_meets(tmp_path: Path):
    market = fill(tmp_path, trades=160_000)
    file = market / "BTCUSDT.sqlite3"
    assert file.stat().st_size > 16 * 2**20  # so that it is not read whole first
    with file.open("r+b") as handle:
        handle.seek(200 * 4096)
        handle.write(b"\xff" * (file.stat().st_size - 200 * 4096))
    done = store_command("stats", "--json", folder=tmp_path)
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)["findings"]
    assert found.startswith(f"{file} is damaged")


def test_stats_of_a_newer_file_end_with_1_and_both_numbers(tmp_path: Path):
    with closing(sqlite3.connect(fill(tmp_path) / "BTCUSDT.sqlite3")) as connection:
        connection.execute("PRAGMA user_version = 99")
    done = store_command("stats", folder=tmp_path)
    assert done.returncode == 1
    assert "has format 99, this version reads up to" in done.stdout


def test_a_store_that_is_not_there_ends_with_3(tmp_path: Path):
    done = store_command("stats", folder=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{tmp_path}/data/market is not available" in done.stderr
    away = store_command(
        "stats", folder=tmp_path, MONGODB_URL=f"mongodb://me:hunter2@127.0.0.1:{free_port()}/db", STORE_TIMEOUT_S="0.5"
    )
    assert (away.returncode, away.stdout) == (3, "")
    assert "hunter2" not in away.stderr
    assert "Traceback" not in away.stderr


# -- backup and restore -------------------------------------------------------------------------------------


def test_what_was_backed_up_comes_back_and_the_rest_is_kept_aside(tmp_path: Path):
    market = fill(tmp_path)
    done = store_command("backup", "copy", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 files, ")
    assert done.stderr == "1 of 1: market/BTCUSDT.sqlite3\n"
    fill(tmp_path, trades=50)
    refused = store_command("restore", "copy", folder=tmp_path)
    assert refused.returncode == 2
    assert "give --replace" in refused.stderr
    assert trades(market) == 50
    restored = store_command("restore", "copy", "--replace", "--json", folder=tmp_path)
    assert restored.returncode == 0, restored.stderr
    report = json.loads(restored.stdout)
    assert trades(market) == 30
    assert trades(Path(report["moved_aside"]) / "market") == 50
    assert [file["name"] for file in report["manifest"]["files"]] == ["market/BTCUSDT.sqlite3"]


def test_a_backup_as_json_is_its_manifest(tmp_path: Path):
    fill(tmp_path)
    done = store_command("backup", "copy", "--json", folder=tmp_path)
    report = json.loads(done.stdout)
    assert report["manifest"] == json.loads((tmp_path / "copy" / "manifest.json").read_text())
    assert report["not_in_here"] == []


def test_a_backup_says_what_is_not_in_it_without_the_password(tmp_path: Path):
    fill(tmp_path)
    done = store_command("backup", "copy", folder=tmp_path, MYSQL_URI="mysql://me:hunter2@db:3307/petrosa")
    assert done.returncode == 0
    assert "hunter2" not in done.stdout + done.stderr
    assert "not in this backup: mysqldump --host=db --port=3307 --user=me --password " in done.stdout


def test_a_backup_of_nothing_ends_with_2(tmp_path: Path):
    nothing = store_command("backup", "copy", folder=tmp_path)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "holds no data" in nothing.stderr
    elsewhere = store_command(
        "backup", "copy", folder=tmp_path, MYSQL_URI="mysql://me:hunter2@db/p", MONGODB_URL="mongodb://me:hunter2@m/p"
    )
    assert elsewhere.returncode == 2
    assert [line.split()[0] for line in elsewhere.stderr.splitlines()] == ["No", "mongodump", "mysqldump"]
    assert "hunter2" not in elsewhere.stderr
    assert not (tmp_path / "copy").exists()


def test_a_backup_goes_into_an_empty_folder_only(tmp_path: Path):
    market = fill(tmp_path)
    done = store_command("backup", market, folder=tmp_path)
    assert done.returncode == 2
    assert "exists and is not empty" in done.stderr
    assert trades(market) == 30


def test_nothing_is_restored_while_the_service_runs_or_for_another_back_end(tmp_path: Path):
    fill(tmp_path)
    store_command("backup", "copy", folder=tmp_path)
    owner = DataDir(tmp_path / "data")
    owner.acquire()
    try:
        done = store_command("restore", "copy", "--replace", folder=tmp_path)
    finally:
        owner.release()
    assert done.returncode == 2
    assert "is in use by process" in done.stderr
    other = store_command("restore", "copy", "--replace", folder=tmp_path, MONGODB_URL="mongodb://m/p")
    assert other.returncode == 2
    assert "the settings choose mongodb" in other.stderr


@pytest.mark.parametrize(("damage", "code"), [("manifest", 2), ("file", 1)])
def test_a_backup_that_is_not_whole_is_not_restored(tmp_path: Path, damage: str, code: int):
    market = fill(tmp_path)
    store_command("backup", "copy", folder=tmp_path)
    if damage == "manifest":
        (tmp_path / "copy" / "manifest.json").unlink()
    else:
        (tmp_path / "copy" / "market" / "BTCUSDT.sqlite3").write_bytes(b"")
    done = store_command("restore", "copy", "--replace", folder=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert "backup" in done.stderr
    assert trades(market) == 30


# -- words --------------------------------------------------------------------------------------------------


def test_the_tools_commands_name_everything_but_secrets():
    settings = Settings(
        mongodb_url="mongodb://a%40b:hunter2@h1:1,h2:2/db?replicaSet=r&tlsCertificateKeyFilePassword=hunter2",
        mysql_host="db",
        mysql_user="me",
        mysql_password=SecretStr("hunter2"),
        mysql_db="it's",
    )
    mongo, mysql = map(shlex.split, dump_commands(settings, Path("/b/one")))
    assert mongo == ["mongodump", "--uri=mongodb://h1:1,h2:2/db?replicaSet=r", "--username=a@b", "--out=/b/one-mongodb"]
    assert mysql == [
        "mysqldump",
        "--host=db",
        "--port=3306",
        "--user=me",
        "--password",
        "--single-transaction",
        "--result-file=/b/one-mysql.sql",
        "it's",
    ]
    assert dump_commands(Settings(), Path("/b")) == []


def test_sizes_are_in_mebibytes_or_unknown():
    assert [size(count) for count in (None, 0, 3 << 19)] == ["-", "0.0 MiB", "1.5 MiB"]


def test_on_a_terminal_copying_is_a_bar_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen, clock = Screen(), StillClock()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with told(clock) as tell:
        clock.seconds += 3
        tell(Step(1, 4, "market/BTCUSDT.sqlite3", 0.25))
    assert "1 file, 0 a second, 9.0 s left" in screen.getvalue()
