from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manager.storage.choice import open_market_store
from data_manager.storage.protocols import Event, Write
from data_manager.storage.records import Symbol
from data_manager.system.clock import SystemClock
from data_manager.system.commands.checks.check import MIB, Check, Verdict
from data_manager.system.commands.checks.market_store import LONG_LOG_BYTES, judged_logs, market_store
from data_manager.system.settings import Settings
from tests.http.serving import store_rows, trade
from tests.servers.databases import free_port


def found(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in market_store(settings, SystemClock())}


def test_a_folder_that_is_not_there_is_good_and_not_made(tmp_path: Path):
    checks = found(Settings(data_dir=tmp_path / "data"))
    assert {check.verdict for check in checks.values()} == {Verdict.OK}
    assert not (tmp_path / "data").exists()


def test_files_that_are_good_are_counted(tmp_path: Path):
    store_rows(tmp_path, [trade(1, 1_760_961_600_000)])
    checks = found(Settings(data_dir=tmp_path, disk_low_mb=16, disk_min_mb=16))
    assert {check.verdict for check in checks.values()} == {Verdict.OK}
    assert "1 symbols, nothing is wrong" in checks["market store"].found


def test_a_damaged_file_is_named_with_what_to_do_and_not_touched(tmp_path: Path):
    store_rows(tmp_path, [trade(1, 1_760_961_600_000)])
    bad = tmp_path / "market" / "ETHUSDT.sqlite3"
    bad.write_bytes(b"this is no database" * 1000)
    before = bad.read_bytes()
    check = found(Settings(data_dir=tmp_path))["market store"]
    assert check.verdict is Verdict.FAIL
    assert str(bad) in check.found
    assert "move it away" in check.fix or "backup" in check.fix
    assert bad.read_bytes() == before


def test_of_several_troubles_the_first_is_told_and_where_the_others_are(tmp_path: Path):
    (tmp_path / "market").mkdir()
    for name in ("AAA", "BBB", "CCC"):
        (tmp_path / "market" / f"{name}.sqlite3").write_bytes(b"no database" * 1000)
    assert "And 2 more: `data-manager store stats`" in found(Settings(data_dir=tmp_path))["market store"].found


def test_little_space_is_a_warning_and_less_a_failure(tmp_path: Path):
    free = int(os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize / MIB)
    for low, least, verdict in (
        (16, 16, Verdict.OK),
        (free * 2, 16, Verdict.WARN),
        (free * 2, free * 2, Verdict.FAIL),
    ):
        assert found(Settings(data_dir=tmp_path, disk_low_mb=low, disk_min_mb=least))["space"].verdict is verdict
    own = Settings(
        data_dir=tmp_path, disk_low_mb=16, disk_min_mb=16, nats_url="embedded", feed_max_bytes=2 * free * MIB
    )
    assert "FEED_MAX_BYTES" in found(own)["space"].fix


def test_data_beyond_its_quota_is_a_warning(tmp_path: Path):
    rows = [trade(number, 1_760_961_600_000 + number) for number in range(15_000)]
    store_rows(tmp_path, rows)
    check = found(Settings(data_dir=tmp_path, market_quota_mb=1))["quota"]
    assert check.verdict is Verdict.WARN
    assert found(Settings(data_dir=tmp_path, market_quota_mb=1000))["quota"].verdict is Verdict.OK


def test_a_log_that_is_never_cut_is_a_warning():
    assert judged_logs([]).verdict is Verdict.OK
    assert judged_logs([("A-wal", LONG_LOG_BYTES), ("B-wal", 1)]).verdict is Verdict.OK
    long = judged_logs([("A-wal", 1), ("B-wal", LONG_LOG_BYTES + 1)])
    assert (long.verdict, "B-wal" in long.found) == (Verdict.WARN, True)


# -- MongoDB ------------------------------------------------------------------------------------------------


def test_a_server_tells_its_version_and_what_it_holds(new_mongo: Callable[[], str]):
    settings = Settings(mongodb_url=new_mongo(), mongodb_write_concern="1")
    store = open_market_store(settings, SystemClock())
    store.write(Symbol("BTCUSDT"), Write(events=[Event("trade", trade(1, 1_760_961_600_000))]))
    store.close()
    checks = found(settings)
    assert {check.verdict for check in checks.values()} == {Verdict.OK}
    assert "version " in checks["MongoDB"].found
    assert "1 symbols" in checks["market store"].found


def test_a_write_concern_that_no_server_can_meet_is_a_failure(new_mongo: Callable[[], str]):
    check = found(Settings(mongodb_url=new_mongo(), mongodb_write_concern="5"))["MongoDB"]
    assert (check.verdict, check.fix) == (Verdict.FAIL, "MONGODB_WRITE_CONCERN=majority, or at most 1")


@pytest.mark.parametrize("secret", ["hunter2"])
def test_a_server_that_is_away_is_unreachable_and_the_password_stays_hidden(secret: str):
    settings = Settings(mongodb_url=f"mongodb://me:{secret}@127.0.0.1:{free_port()}/x", store_timeout_s=0.5)
    [check] = found(settings).values()
    assert (check.verdict, check.away) == (Verdict.FAIL, True)
    assert secret not in str(check)
