"""When the auditor looks, on real stores: at first, on its schedule, and at once when it is told to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from data_manager.actors.audit import rounds
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.rounds import Rounds
from data_manager.actors.housekeeping import chores
from data_manager.storage.protocols import Gap
from data_manager.storage.records import ALL_SYMBOLS, MINUTE_MS, Symbol
from data_manager.system.clock import SystemClock
from data_manager.system.errors import StoreUnavailable
from data_manager.system.symbols import Symbols
from tests.actors.audit.auditors import auditor
from tests.actors.housekeeping.stores import NOW, Stores, captured, with_stores
from tests.eventually import eventually
from tests.storage.examples import BTC, candle

ETH = Symbol("ETHUSDT")
DATASET = "candles_BTCUSDT_1m"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "FIRST_S", 0.01)
    for name in ("RETRY_FIRST_S", "RETRY_MAX_S"):
        monkeypatch.setattr(chores, name, 0.02)


@asynccontextmanager
async def driven(stores: Stores, every_s: float = 3600, symbols: Symbols | None = None) -> AsyncIterator[Rounds]:
    """Rounds at the real clock's pace, of an auditor at the stores' time."""
    active = symbols or Symbols((BTC, ETH))
    driver = Rounds(auditor(stores), every_s, SystemClock(), random.Random(1), stores.metrics, active)
    running = asyncio.create_task(driver.run())
    try:
        yield driver
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()


def hold(stores: Stores, *minutes: int, symbol: Symbol = BTC) -> None:
    """Bars that open so many minutes before NOW."""
    stores.store([candle(0, open_time=NOW - minute * MINUTE_MS, stored_ms=NOW) for minute in minutes], symbol)


async def gaps(stores: Stores, *statuses: str) -> list[Gap]:
    """Those of 1m candles."""
    found = await stores.catalog_thread.call(lambda catalog: catalog.gaps(statuses=statuses)[0])
    return [gap for gap in found if gap.timeframe == "1m"]


async def until_gaps(stores: Stores, expected: int, *statuses: str) -> None:
    async def are_there() -> bool:
        return len(await gaps(stores, *statuses)) == expected

    await eventually(are_there)


def test_it_looks_at_every_symbol_soon_after_its_start_and_tells_how_long_that_took(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        for symbol in (BTC, ETH):
            hold(stores, 5, 4, 2, 1, symbol=symbol)
        async with driven(stores):
            await until_gaps(stores, 2, "open")
            await eventually(lambda: stores.gauge("audit_cycle_seconds") is not None)

    with_stores(tmp_path, check)


def test_rounds_come_again(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        hold(stores, 3, 2)
        async with driven(stores, every_s=0.05):
            await until_gaps(stores, 1, "open")
            hold(stores, 1)
            await until_gaps(stores, 1, "closed")

    with_stores(tmp_path, check)


def test_what_is_suspected_or_repaired_is_looked_at_between_rounds(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        hold(stores, 3, 2, 1)
        async with driven(stores) as driver:
            await eventually(lambda: stores.gauge("audit_cycle_seconds") is not None)
            stores.clock.ms += MINUTE_MS
            driver.suspected(BTC)
            await until_gaps(stores, 1, "open")
            hold(stores, 0)
            driver.repaired(BTC, DATASET, Range(NOW, NOW + MINUTE_MS))
            await until_gaps(stores, 1, "closed")

    with_stores(tmp_path, check)


def test_what_nobody_knows_the_symbol_of_makes_a_round(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        hold(stores, 3, 2, 1)
        async with driven(stores) as driver:
            await eventually(lambda: stores.gauge("audit_cycle_seconds") is not None)
            stores.clock.ms += MINUTE_MS
            driver.suspected(ALL_SYMBOLS)
            await until_gaps(stores, 1, "open")
            await eventually(lambda: stores.counter("audit_rounds_total") == 2)

    with_stores(tmp_path, check)


def test_everything_begins_at_the_beginning(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        hold(stores, 5, 4, 3, 2, 1)
        async with driven(stores) as driver:
            await eventually(lambda: stores.gauge("audit_cycle_seconds") is not None)
            stores.delete_candle(NOW - 3 * MINUTE_MS)
            driver.suspected(BTC)
            driver.everything()
            await until_gaps(stores, 1, "open")

    with_stores(tmp_path, check)


def test_a_store_that_is_away_is_waited_for_and_told_once(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        hold(stores, 5, 4, 2, 1)
        stores.market.away = True
        with captured() as lines:
            async with driven(stores):
                await eventually(lambda: lines)
                await asyncio.sleep(0.1)
                stores.market.away = False
                await until_gaps(stores, 1, "open")
        assert [line["event"] for line in lines].count("audit_waits") == 1

    with_stores(tmp_path, check)


def test_a_catalog_that_is_away_delays_a_look_and_loses_none(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        hold(stores, 5, 4, 2, 1)
        stores.catalog.away = True
        with captured() as lines:
            async with driven(stores):
                await eventually(lambda: [line for line in lines if line["event"] == "audit_waits"])
                with pytest.raises(StoreUnavailable):
                    stores.catalog.incidents()
                stores.catalog.away = False
                await until_gaps(stores, 1, "open")

    with_stores(tmp_path, check)


def test_a_damaged_file_concerns_its_own_symbol_and_is_told_once(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        for symbol in (BTC, ETH):
            hold(stores, 5, 4, 2, 1, symbol=symbol)
        stores.market.damaged = BTC
        with captured() as lines:
            async with driven(stores) as driver:
                await eventually(lambda: stores.gauge("audit_cycle_seconds") is not None)
                driver.suspected(BTC)
                driver.suspected(ETH)
                await until_gaps(stores, 1, "open")
        assert [line["symbol"] for line in lines if line["event"] == "audit_refused"] == [BTC]
        assert [gap.symbol for gap in await gaps(stores)] == [ETH]

    with_stores(tmp_path, check)


def test_a_retired_symbol_is_looked_at_no_more_but_for_what_is_repaired_of_it(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        for symbol in (BTC, ETH):
            hold(stores, 5, 4, 2, 1, symbol=symbol)
        symbols = Symbols((ETH,))
        async with driven(stores, symbols=symbols) as driver:
            await until_gaps(stores, 1, "open")
            driver.suspected(BTC)
            driver.everything()
            await eventually(lambda: stores.gauge("audit_cycle_seconds") is not None)
            assert [gap.symbol for gap in await gaps(stores, "open")] == [ETH]
            symbols.become((BTC, ETH))
            driver.suspected(BTC)
            await until_gaps(stores, 2, "open")
            symbols.become((ETH,))
            hold(stores, 3)
            driver.repaired(BTC, DATASET, Range(NOW - 4 * MINUTE_MS, NOW - 2 * MINUTE_MS))
            await until_gaps(stores, 1, "closed")
            assert [gap.symbol for gap in await gaps(stores, "open")] == [ETH]

    with_stores(tmp_path, check)
