"""All chores at once, by the real clock."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from data_manager.actors.housekeeping import chores, housekeeping
from data_manager.actors.housekeeping.housekeeping import Housekeeping
from data_manager.storage.records import Trade
from data_manager.system.clock import SystemClock, now_ms
from data_manager.system.settings import Settings
from tests.actors.housekeeping.stores import DAY_MS, Stores, captured, with_stores
from tests.eventually import eventually
from tests.storage.examples import trade

CHORES = {
    "market_retention",
    "catalog_retention",
    "market_space",
    "catalog_size",
    "findings",
    "datasets",
    "lineage",
    "symbols",
}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_S", "RETRY_FIRST_S", "RETRY_MAX_S"):
        monkeypatch.setattr(chores, name, 0.05)
    for name in ("SWEEP_S", "FINDINGS_S", "REGISTER_S", "TRACE_S"):
        monkeypatch.setattr(housekeeping, name, 0.2)


def made(stores: Stores) -> Housekeeping:
    settings = Settings(mongo_data_size_refresh_interval=0.2)
    threads = stores.market_thread, stores.catalog_thread
    return Housekeeping(*threads, settings, SystemClock(), random.Random(1), stores.metrics)


async def cancelled(running: asyncio.Task[None]) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()


def test_every_chore_is_done(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        now = now_ms(SystemClock())
        stores.store([trade(1, stored_ms=now - 8 * DAY_MS), trade(2, time_ms=now, stored_ms=now)])
        stores.market.found = ("A.sqlite3 is damaged.",)
        running = asyncio.create_task(made(stores).run())
        await eventually(lambda: stores.rows(Trade) == 1)
        await eventually(lambda: stores.catalog.dataset("trades_BTCUSDT"))
        await eventually(lambda: stores.catalog.incidents(open_only=True))
        await eventually(lambda: stores.gauge("store_data_bytes", store="market"))
        await eventually(lambda: stores.gauge("store_data_bytes", store="catalog"))
        await eventually(
            lambda: [each.symbol for each in stores.catalog.symbols()] == sorted(Settings().supported_pairs)
        )
        await cancelled(running)

    with_stores(tmp_path, check)


def test_a_market_store_that_is_away_stops_nothing_else_and_is_waited_for(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.market.away = True
        with captured() as lines:
            running = asyncio.create_task(made(stores).run())
            await eventually(lambda: {line.get("chore") for line in lines} >= {"market_retention", "datasets"})
            await eventually(lambda: stores.gauge("store_data_bytes", store="catalog"))
            stores.market.away = False
            stores.store([trade(1, stored_ms=now_ms(SystemClock()))])  # older ones would be swept
            await eventually(lambda: stores.catalog.dataset("trades_BTCUSDT"))
            await cancelled(running)
        assert {line["chore"] for line in lines if "chore" in line} <= CHORES

    with_stores(tmp_path, check)
