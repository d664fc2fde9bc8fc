"""Gauges, findings, and what happens while space is short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_manager.actors.housekeeping.watching import Watch
from data_manager.storage.records import Depth, Trade
from data_manager.storage.space import MIB
from data_manager.system.errors import StoreUnavailable
from data_manager.system.settings import Settings
from tests.actors.housekeeping.stores import NOW, Stores, captured, with_stores
from tests.actors.housekeeping.test_shedding import HOUR, book
from tests.storage.examples import trade

QUOTA: dict[str, Any] = {"market_quota_mb": 1, "shed_at_percent": 60, "disk_low_mb": 16, "disk_min_mb": 16}


def watch(stores: Stores, **settings: Any) -> Watch:
    options = Settings.model_validate(settings)
    return Watch(stores.market_thread, stores.catalog_thread, options, stores.clock, stores.metrics)


def kinds_open(stores: Stores) -> list[str]:
    return sorted(incident.kind for incident in stores.catalog.incidents(open_only=True))


def events(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["level"], line["event"]) for line in lines]


def test_sizes_are_measured(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([trade(1)])
        stores.market.free = 10**12
        watched = watch(stores)
        await watched.space()
        await watched.catalog_size()
        assert stores.gauge("store_data_bytes", store="market") == stores.tests.data_bytes() > 0
        assert stores.gauge("store_data_bytes", store="catalog") == stores.catalog.data_bytes() > 0
        assert stores.gauge("store_free_bytes") == 10**12
        assert stores.gauge("mongo_data_size_bytes", database="market") is None

    with_stores(tmp_path, check)


MONGO = {"mongodb_url": "mongodb://example.invalid/market"}


def test_a_mongodb_has_the_gauge_of_the_original(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        watched = watch(stores, **MONGO)
        await watched.space()
        assert stores.gauge("mongo_data_size_bytes", database="market") == stores.tests.data_bytes()
        stores.market.away = True
        with pytest.raises(StoreUnavailable):
            await watched.space()
        assert stores.counter("mongo_data_size_scrape_errors_total") == 1

    with_stores(tmp_path, check)


def test_the_gauge_of_the_original_can_be_switched_off(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        await watch(stores, **MONGO, enable_mongo_data_size_gauge=False).space()
        assert stores.gauge("mongo_data_size_bytes", database="market") is None
        assert stores.gauge("store_data_bytes", store="market") is not None

    with_stores(tmp_path, check)


def test_above_its_quota_the_oldest_order_book_rows_go_until_below(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([trade(1, stored_ms=NOW - HOUR)])
        stores.store([book(number, 20 * HOUR - number * 1000) for number in range(500)])
        assert stores.tests.data_bytes() > 0.6 * MIB
        watched = watch(stores, **QUOTA)
        with captured() as lines:
            await watched.space()
        assert events(lines) == [("WARNING", "shedding_began"), ("INFO", "shedding_ended")]
        assert stores.tests.data_bytes() <= 0.6 * MIB
        assert stores.rows(Trade) == 1
        (incident,) = stores.catalog.incidents()
        assert (incident.kind, incident.started_ms, incident.ended_ms) == ("store_quota", NOW, NOW)
        assert stores.counter("shed_rows_total", dataset="depth") == 500 - stores.rows(Depth)
        assert stores.gauge("store_data_bytes", store="market") == stores.tests.data_bytes()

    with_stores(tmp_path, check)


def test_without_a_quota_nothing_goes(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([book(number, HOUR) for number in range(500)])
        await watch(stores, disk_low_mb=16, disk_min_mb=16).space()
        assert stores.rows(Depth) == 500
        assert stores.catalog.incidents() == []

    with_stores(tmp_path, check)


def test_when_nothing_is_left_to_go_it_says_once_what_to_do(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([book(1, HOUR), *(book(number, 0) for number in range(2, 500))])
        watched = watch(stores, **QUOTA)
        with captured() as lines:
            for _ in range(3):
                await watched.space()
        assert events(lines) == [("WARNING", "shedding_began"), ("ERROR", "nothing_left_to_shed")]
        assert "raise MARKET_QUOTA_MB" in lines[1]["advice"]
        assert stores.rows(Depth) == 498
        assert kinds_open(stores) == ["store_quota"]
        assert len(stores.catalog.incidents()) == 1

    with_stores(tmp_path, check)


def test_a_low_disk_sheds_no_more_than_is_short_and_waits(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([book(number, 20 * HOUR - number * 1000) for number in range(3000)])
        stores.market.free = 40 * MIB - 1  # and stays there: the disk is slow to tell, or filled by others
        watched = watch(stores, disk_low_mb=40, disk_min_mb=16)
        with captured() as lines:
            await watched.space()
            assert 0 < stores.rows(Depth) < 3000
            stores.market.free = 42 * MIB - 4096
            await watched.space()
            assert events(lines) == [("WARNING", "shedding_began")]
            stores.market.free = 42 * MIB
            left = stores.rows(Depth)
            await watched.space()
        assert stores.rows(Depth) == left > 0
        assert events(lines) == [("WARNING", "shedding_began"), ("INFO", "shedding_ended")]
        (incident,) = stores.catalog.incidents()
        assert (incident.kind, incident.ended_ms) == ("disk_low", NOW)

    with_stores(tmp_path, check)


def test_shedding_does_not_wait_for_the_catalog(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([book(number, HOUR) for number in range(500)])
        watched = watch(stores, **QUOTA)
        stores.catalog.away = True
        with pytest.raises(StoreUnavailable):
            await watched.space()
        assert stores.rows(Depth) == 0
        stores.catalog.away = False
        await watched.space()
        assert kinds_open(stores) == []

    with_stores(tmp_path, check)


def test_a_restart_goes_on_with_the_open_incident(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([book(number, 0) for number in range(500)])
        await watch(stores, **QUOTA).space()
        await watch(stores, **QUOTA).space()
        assert len(stores.catalog.incidents()) == 1
        await watch(stores).space()
        assert kinds_open(stores) == []

    with_stores(tmp_path, check)


def test_a_finding_is_an_incident_for_as_long_as_it_is_found(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        watched = watch(stores)
        stores.market.found = ("A.sqlite3 is damaged.", "B.sqlite3 is from a newer version.")
        await watched.findings()
        stores.market.found = stores.market.found[1:]
        await watched.findings()
        assert [incident.cause for incident in stores.catalog.incidents(open_only=True)] == list(stores.market.found)
        assert {incident.kind for incident in stores.catalog.incidents()} == {"store_finding"}

    with_stores(tmp_path, check)
