"""Datasets and lineage, from a real store into a real catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manager.actors.housekeeping.cataloguing import COMPLETE_S, Cataloguer
from data_manager.storage.lineage import HOUR_MS, SETTLE_MS
from data_manager.storage.protocols import Write
from data_manager.storage.records import ALL_SYMBOLS, Symbol
from data_manager.system.errors import StoreCorrupt, StoreUnavailable
from tests.actors.housekeeping.stores import NOW, Stores, captured, with_stores
from tests.storage.examples import BTC, depth, derived, document, trade

ETH = Symbol("ETHUSDT")
END = NOW // HOUR_MS * HOUR_MS  # of the newest hour


def cataloguer(stores: Stores) -> Cataloguer:
    return Cataloguer(stores.market_thread, stores.catalog_thread, "sqlite", stores.clock)


def registered(stores: Stores) -> dict[str, tuple[int, int]]:
    found, _ = stores.catalog.datasets()
    return {dataset.dataset_id: (dataset.created_ms, dataset.updated_ms) for dataset in found}


def test_series_are_registered_when_they_first_hold_data(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        keeping = cataloguer(stores)
        await keeping.register()
        assert registered(stores) == {}
        stores.store([trade(1, stored_ms=NOW - 5)])
        with captured() as lines:
            await keeping.register()
            await keeping.register()
        assert registered(stores) == {"trades_BTCUSDT": (NOW, NOW - 5)}
        assert [(line["event"], line["new"]) for line in lines] == [("datasets_registered", 1)]
        stores.store([depth(1, stored_ms=NOW - 3)], ETH)
        await keeping.register()
        await keeping.register()
        stores.store([trade(2, stored_ms=NOW + 9)])
        await keeping.register()  # looks for what is new only
        assert registered(stores) == {"trades_BTCUSDT": (NOW, NOW - 5), "depth_ETHUSDT": (NOW, NOW - 3)}

    with_stores(tmp_path, check)


def test_once_an_hour_all_are_looked_at_again(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        keeping = cataloguer(stores)
        stores.store([trade(1, stored_ms=NOW - 5)])
        await keeping.register()
        stores.store([trade(2, stored_ms=NOW + 7)])
        stores.clock.ms += 1000
        await keeping.register()
        assert registered(stores) == {"trades_BTCUSDT": (NOW, NOW - 5)}
        stores.clock.ms += int(COMPLETE_S * 1000)
        await keeping.register()
        assert registered(stores) == {"trades_BTCUSDT": (NOW, NOW + 7)}

    with_stores(tmp_path, check)


def test_a_market_store_that_is_away_leaves_the_catalog_as_it_is(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.market.away = True
        for work in (cataloguer(stores).register, cataloguer(stores).trace):
            with pytest.raises(StoreUnavailable):
                await work()

    with_stores(tmp_path, check)


def test_a_damaged_file_does_not_keep_the_others(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        for symbol in (BTC, ETH):
            stores.store([trade(1)], symbol)
        stores.market.damaged = BTC
        with pytest.raises(StoreCorrupt):
            await cataloguer(stores).register()
        assert registered(stores).keys() == {"trades_ETHUSDT"}

    with_stores(tmp_path, check)


def minutes(stores: Stores, *ends: int) -> None:
    """A derived bar in each of the hours that end then."""
    bars = [derived(0, 3, open_time=end - HOUR_MS, stored_ms=NOW) for end in ends]
    stores.tests.write(BTC, Write(derived=bars))


def hours_of(stores: Stores) -> list[int]:
    return [record.at_ms for record in stores.catalog.lineage("candles_BTCUSDT_1m")]


def test_the_hours_of_the_last_day_are_made_up_for(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.clock.ms = END + SETTLE_MS
        minutes(stores, END, END - 5 * HOUR_MS, END - 30 * HOUR_MS)
        await cataloguer(stores).trace()
        assert hours_of(stores) == [END, END - 5 * HOUR_MS]

    with_stores(tmp_path, check)


def test_an_hour_that_has_not_settled_is_left_for_later(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        keeping = cataloguer(stores)
        minutes(stores, END)
        stores.clock.ms = END + SETTLE_MS - 1
        await keeping.trace()
        assert hours_of(stores) == []
        stores.clock.ms += 1
        await keeping.trace()
        assert hours_of(stores) == [END]

    with_stores(tmp_path, check)


def test_late_rows_are_counted_when_the_next_hour_ends(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        keeping = cataloguer(stores)
        stores.clock.ms = END + SETTLE_MS
        minutes(stores, END)
        await keeping.trace()
        stores.store([trade(1, time_ms=END - 1)])
        await keeping.trace()
        assert [record.input_records for record in stores.catalog.lineage("candles_BTCUSDT_1m")] == [0]
        stores.clock.ms += HOUR_MS
        await keeping.trace()
        assert [record.input_records for record in stores.catalog.lineage("candles_BTCUSDT_1m")] == [1]

    with_stores(tmp_path, check)


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.clock.ms = END + SETTLE_MS
        minutes(stores, END, END - HOUR_MS)
        await cataloguer(stores).trace()
        before = stores.catalog.lineage("candles_BTCUSDT_1m")
        await cataloguer(stores).trace()
        assert stores.catalog.lineage("candles_BTCUSDT_1m") == before

    with_stores(tmp_path, check)


def test_computed_documents_are_registered_and_traced_those_of_the_whole_market_too(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.clock.ms = END + SETTLE_MS
        at = {"time_ms": END - HOUR_MS, "stored_ms": NOW - 4}
        stores.tests.write(BTC, Write(side=[document(category="trend", **at)]))
        stores.tests.write(ALL_SYMBOLS, Write(side=[document(category="correlation_matrix", **at)]))
        keeping = cataloguer(stores)
        await keeping.register()
        await keeping.trace()
        names = ("analytics_BTCUSDT_trend", "analytics_correlation_matrix")
        assert {name: updated for name, (_, updated) in registered(stores).items()} == dict.fromkeys(names, NOW - 4)
        made = {name: [record.source_dataset_id for record in stores.catalog.lineage(name)] for name in names}
        assert made == {names[0]: ["candles_BTCUSDT_1h"], names[1]: [None]}

    with_stores(tmp_path, check)
