"""Calls to stores that are away: repeated, told once, and never the reason that a writer has no rest."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.backfill.patience import RETRY_FIRST_S, RETRY_MAX_S, Away, Stores, pause_s
from data_manager.storage.protocols import Catalog, MarketStore, Query
from data_manager.storage.records import Candle
from data_manager.system.errors import RowRefused, StaleLease, StoreFull, StoreUnavailable
from tests.actors.backfill.clocks import SleptClock
from tests.actors.housekeeping.stores import Stores as RealStores
from tests.actors.housekeeping.stores import captured, with_stores
from tests.eventually import eventually

Scenario = Callable[[RealStores, Stores, Away, SleptClock], Awaitable[None]]


def patient(folder: Path, scenario: Scenario, *, one_writer: bool = True) -> None:
    """Run a scenario on real stores, which can be away."""

    async def check(real: RealStores) -> None:
        away, clock = Away(), SleptClock()
        threads = real.market_thread, real.catalog_thread
        stores = Stores(*threads, away, clock, random.Random(1), one_writer=one_writer, sleep=clock.sleep)
        await scenario(real, stores, away, clock)

    with_stores(folder, check)


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_pauses_grow_to_their_limit_and_are_never_in_step(failures: int, seed: int) -> None:
    longest = min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(failures - 1, 20))
    assert longest / 2 <= pause_s(failures, random.Random(seed)) <= longest


def test_a_store_that_is_away_is_waited_for_and_told_once(tmp_path: Path) -> None:
    async def scenario(real: RealStores, stores: Stores, away: Away, clock: SleptClock) -> None:
        real.market.away = True
        with captured() as lines:
            reading = asyncio.create_task(stores.read(lambda market: market.symbols()))
            await eventually(lambda: len(clock.slept) > 3)
            assert away.part == "market_store"
            real.market.away = False
            assert await reading == []
        assert away.part == ""
        assert [(line["event"], line["part"]) for line in lines] == [
            ("backfill_waits", "market_store"),
            ("backfill_goes_on", "market_store"),
        ]

    patient(tmp_path, scenario)


def test_the_catalog_is_waited_for_likewise(tmp_path: Path) -> None:
    async def scenario(real: RealStores, stores: Stores, away: Away, clock: SleptClock) -> None:
        real.catalog.away = True
        reading = asyncio.create_task(stores.catalog(lambda catalog: catalog.incidents()))
        await eventually(lambda: away.part == "catalog")
        real.catalog.away = False
        assert await reading == []

    patient(tmp_path, scenario)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreFull("no space"), StaleLease("passed on")])
def test_what_comes_back_is_waited_for(tmp_path: Path, error: Exception) -> None:
    async def scenario(real: RealStores, stores: Stores, away: Away, clock: SleptClock) -> None:
        errors = [error]

        def once(catalog: Catalog) -> str:
            if errors:
                raise errors.pop()
            return "done"

        assert await stores.catalog(once) == "done"

    patient(tmp_path, scenario)


def test_what_a_store_refuses_is_raised(tmp_path: Path) -> None:
    async def scenario(real: RealStores, stores: Stores, away: Away, clock: SleptClock) -> None:
        def refused(market: MarketStore) -> None:
            raise RowRefused(3, "no")

        with pytest.raises(RowRefused):
            await stores.write(refused)
        assert stores.busy_since() is None

    patient(tmp_path, scenario)


@pytest.mark.parametrize(("one_writer", "rest"), [(True, [2.0]), (False, [])])
def test_where_there_is_one_writer_it_rests_as_long_as_it_wrote(
    tmp_path: Path, one_writer: bool, rest: list[float]
) -> None:
    async def scenario(real: RealStores, stores: Stores, away: Away, clock: SleptClock) -> None:
        def slow(market: MarketStore) -> None:
            clock.us += 2_000_000

        await stores.write(slow)
        assert clock.slept == rest

    patient(tmp_path, scenario, one_writer=one_writer)


def test_waiting_for_a_store_is_no_reason_to_rest(tmp_path: Path) -> None:
    async def scenario(real: RealStores, stores: Stores, away: Away, clock: SleptClock) -> None:
        errors = [StoreUnavailable("away") for _ in range(5)]

        def later(market: MarketStore) -> None:
            if errors:
                raise errors.pop()

        await stores.write(later)
        assert clock.slept[-1] == 0

    patient(tmp_path, scenario)


def test_a_call_in_hand_is_seen_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    async def scenario(real: RealStores, stores: Stores, away: Away, clock: SleptClock) -> None:
        seen = await stores.read(lambda market: (stores.busy_since(), market.count("BTCUSDT", Candle, Query())))  # type: ignore[arg-type]
        assert seen == (clock.monotonic(), 0)
        assert stores.busy_since() is None

    patient(tmp_path, scenario)
