from __future__ import annotations

from pathlib import Path

from data_manager.actors.audit.presence import Presence
from tests.actors.housekeeping.stores import Stores, captured, with_stores


def of(stores: Stores, note: str = "") -> Presence:
    named = {"market_store": stores.market_thread, "catalog": stores.catalog_thread}
    return Presence(named, note, metrics=stores.metrics)


def test_nothing_is_known_before_the_first_look(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        presence = of(stores)
        assert (presence.status().state, presence.status().detail) == ("waiting", "start")
        await presence.look()
        assert (presence.status().state, presence.status().detail) == ("running", "")

    with_stores(tmp_path, check)


def test_it_waits_for_what_is_away_and_logs_it_once_when_it_lasts(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        presence = of(stores, "audit=off")
        stores.market.unchecked = stores.catalog.unchecked = True
        with captured() as lines:
            await presence.look()
            assert lines == []
            assert presence.status().detail == "market_store;catalog;audit=off"
            for _ in range(3):
                await presence.look()
            assert presence.status().state == "waiting"
            assert presence.status().detail == "market_store;catalog;audit=off"
            stores.market.unchecked = False
            await presence.look()
            assert presence.status().detail == "catalog;audit=off"
            stores.catalog.unchecked = False
            await presence.look()
        assert (presence.status().state, presence.status().detail) == ("running", "audit=off")
        assert [(line["event"], line["store"]) for line in lines] == [
            ("store_away", "market_store"),
            ("store_away", "catalog"),
            ("store_back", "market_store"),
            ("store_back", "catalog"),
        ]

    with_stores(tmp_path, check)


def test_a_gauge_shows_which_store_answers(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        presence = of(stores)
        stores.catalog.unchecked = True
        await presence.look()
        shown = [stores.gauge("store_up", store=name) for name in ("market_store", "catalog")]
        assert shown == [1, 0]
        stores.catalog.unchecked = False
        await presence.look()
        assert stores.gauge("store_up", store="catalog") == 1

    with_stores(tmp_path, check)
