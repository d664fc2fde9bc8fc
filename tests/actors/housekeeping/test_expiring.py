"""The sweep, on real stores: bounded calls, until nothing is due."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manager.actors.housekeeping import expiring
from data_manager.actors.housekeeping.expiring import Sweeper
from data_manager.storage.protocols import Incident, Lineage, Query
from data_manager.storage.records import ALL_SYMBOLS, Candle, OpenCandle, Quarantined, Series, Symbol, Trade
from data_manager.system.errors import StoreCorrupt, StoreUnavailable
from data_manager.system.settings import Settings
from tests.actors.housekeeping.stores import DAY_MS, NOW, Stores, captured, with_stores
from tests.storage.examples import BTC, candle, open_candle, quarantined, trade

ETH = Symbol("ETHUSDT")


def sweeper(stores: Stores, **settings: int) -> Sweeper:
    return Sweeper(stores.market_thread, stores.catalog_thread, Settings(**settings), stores.clock, stores.metrics)


def days_ago(days: float) -> int:
    return NOW - int(days * DAY_MS)


def test_only_what_is_older_than_its_days_goes(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([trade(1, stored_ms=days_ago(7.1)), trade(2, stored_ms=days_ago(6.9))])
        stores.store([quarantined(1, stored_ms=days_ago(7.1))], ALL_SYMBOLS)
        await sweeper(stores).market_rows()
        assert stores.rows(Trade) == 1
        assert stores.rows(Quarantined, ALL_SYMBOLS) == 0

    with_stores(tmp_path, check)


def test_an_old_event_that_was_stored_lately_stays(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([trade(1, time_ms=days_ago(300), stored_ms=days_ago(1))])
        await sweeper(stores).market_rows()
        assert stores.rows(Trade) == 1

    with_stores(tmp_path, check)


def test_bars_go_by_timeframe_and_open_ones_stay(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        old = {"open_time": days_ago(101), "stored_ms": days_ago(100)}
        stores.store([candle(0, timeframe=timeframe, **old) for timeframe in ("1m", "5m", "1h", "1d")])
        stores.store([open_candle(0, timeframe="4h", stored_ms=days_ago(100))])
        await sweeper(stores).market_rows()
        left = {row.timeframe for row in stores.tests.rows(BTC, Candle, Query(limit=100))}
        assert left == {"1h", "1d"}
        assert stores.rows(OpenCandle) == 1

    with_stores(tmp_path, check)


def test_much_goes_in_bounded_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiring, "ROWS", 10)

    async def check(stores: Stores) -> None:
        stores.store([trade(number, stored_ms=days_ago(8)) for number in range(25)])
        with captured() as lines:
            await sweeper(stores).market_rows()
        assert stores.rows(Trade) == 0
        assert [limit for series, limit in stores.market.expired if series == Series(BTC, Trade)] == [10] * 4
        assert stores.counter("expired_rows_total", dataset="trades") == 25
        assert [(line["event"], line["rows"], line["trades"]) for line in lines] == [("rows_expired", 25, 25)]

    with_stores(tmp_path, check)


def test_a_sweep_that_finds_nothing_says_nothing(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([trade(1, stored_ms=NOW)])
        with captured() as lines:
            await sweeper(stores).market_rows()
            await sweeper(stores).catalog_rows()
        assert lines == []

    with_stores(tmp_path, check)


def test_a_server_that_deletes_by_itself_is_left_to_it(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.market.expires_itself = True
        stores.store([trade(1, stored_ms=days_ago(8))])
        await sweeper(stores).market_rows()
        assert stores.market.expired == []

    with_stores(tmp_path, check)


def test_a_damaged_file_does_not_keep_the_others(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        for symbol in (BTC, ETH):
            stores.store([trade(1, stored_ms=days_ago(8))], symbol)
        stores.market.damaged = BTC
        with captured() as lines, pytest.raises(StoreCorrupt):
            await sweeper(stores).market_rows()
        assert (stores.rows(Trade, BTC), stores.rows(Trade, ETH)) == (1, 0)
        assert [line["trades"] for line in lines] == [1]

    with_stores(tmp_path, check)


def test_a_store_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.market.away = True
        with pytest.raises(StoreUnavailable):
            await sweeper(stores).market_rows()

    with_stores(tmp_path, check)


def test_the_catalog_forgets_what_ended_long_ago(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        old = days_ago(50)
        stores.catalog.save_incident(Incident("open", "actor_down", "router", "x", old))
        stores.catalog.save_incident(Incident("ended", "actor_down", "router", "x", old, old + 1))
        stores.catalog.save_incident(Incident("lately", "actor_down", "router", "x", old, days_ago(1)))
        stores.catalog.save_lineage([Lineage("1", "a", None, "roll_up", 1, 1, old)])
        await sweeper(stores, records_retention_days=60).catalog_rows()
        assert len(stores.catalog.incidents()) == 3
        await sweeper(stores, records_retention_days=40).catalog_rows()
        assert {incident.incident_id for incident in stores.catalog.incidents()} == {"open", "lately"}
        assert stores.catalog.lineage("a") == []
        assert stores.counter("expired_rows_total", dataset="lineage_records") == 1

    with_stores(tmp_path, check)
