"""F22 and F27: what is told of a feed that falls silent, and of a host whose clock is set, on real stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_manager.actors.audit.anchored import AnchoredClock
from data_manager.actors.audit.conf import audit_conf
from data_manager.actors.audit.watching import FeedWatch, down
from data_manager.storage.ledger import Counts
from data_manager.storage.protocols import Incident, Write
from data_manager.storage.records import Symbol
from data_manager.system.clock import now_ms
from data_manager.system.errors import StoreUnavailable
from data_manager.system.symbols import Symbols
from tests.actors.audit.auditors import audit, auditor, gaps, minute
from tests.actors.housekeeping.stores import Stores, captured, with_stores
from tests.storage.examples import BTC, trade

SYMBOLS = [BTC, Symbol("ETHUSDT"), Symbol("SOLUSDT")]
HOURS_MS = 3_600_000
LOOK_MS = 10_000


class Host:
    """A host whose wall clock can be set while time goes on."""

    def __init__(self, ms: int) -> None:
        self.ms = ms
        self.off_ms = 0

    def now_us(self) -> int:
        return (self.ms + self.off_ms) * 1000

    def monotonic(self) -> float:
        return self.ms / 1000


class Watching:
    """A watch on stores in which a test makes events arrive."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.host = Host(stores.clock.ms)
        self.clock = AnchoredClock(self.host)
        self.symbols = Symbols(SYMBOLS)
        self.watch = self.started()

    def started(self) -> FeedWatch:
        threads = self.stores.market_thread, self.stores.catalog_thread
        return FeedWatch(*threads, self.symbols, audit_conf(), self.clock)

    async def looks(self, times: int, *alive: str) -> None:
        for _ in range(times):
            self.host.ms += LOOK_MS
            for symbol in alive:
                self.stores.tests.write(Symbol(symbol), Write(counts={"trade": Counts(received=1, skipped=1)}))
            await self.watch.look()

    def incidents(self, *, open_only: bool = False) -> list[tuple[str, str]]:
        told = self.stores.catalog.incidents(open_only=open_only)
        return sorted((each.kind, each.subject) for each in told)


def test_one_symbol_that_falls_quiet_is_one_incident_which_ends_when_it_is_heard_again(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        watching = Watching(stores)
        with captured() as lines:
            await watching.looks(5, *SYMBOLS)
            assert watching.incidents() == []
            await watching.looks(30, *SYMBOLS[:2])
            assert watching.incidents(open_only=True) == [("symbol_quiet", "SOLUSDT")]
            await watching.looks(5, *SYMBOLS)
        assert watching.incidents(open_only=True) == []
        assert watching.incidents() == [("symbol_quiet", "SOLUSDT")]
        assert [line["event"] for line in lines] == ["symbol_quiet", "symbol_flows"]

    with_stores(tmp_path, check)


def test_a_feed_that_is_down_is_one_incident_and_not_one_for_each_symbol(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        watching = Watching(stores)
        with captured() as lines:
            await watching.looks(5, *SYMBOLS)
            await watching.looks(30)
            assert watching.incidents() == [("feed_down", "feed")]
            await watching.looks(5, *SYMBOLS)
        assert watching.incidents(open_only=True) == []
        assert [line["event"] for line in lines] == ["feed_down", "feed_flows"]

    with_stores(tmp_path, check)


def test_a_restart_neither_ends_nor_doubles_what_is_told(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        watching = Watching(stores)
        await watching.looks(20, BTC)
        quiet = [("symbol_quiet", "ETHUSDT"), ("symbol_quiet", "SOLUSDT")]
        assert watching.incidents(open_only=True) == quiet
        watching.watch = watching.started()
        await watching.looks(20, BTC)
        assert watching.incidents() == watching.incidents(open_only=True) == quiet
        watching.watch = watching.started()
        await watching.looks(5, *SYMBOLS)
        assert (watching.incidents(), watching.incidents(open_only=True)) == (quiet, [])

    with_stores(tmp_path, check)


def test_what_our_own_parts_hold_up_is_told_by_their_incident_alone(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        watching = Watching(stores)
        stores.catalog.save_incident(Incident("i", "actor_down", "ingest/SOLUSDT", "signal 9", 1))
        await watching.looks(20, *SYMBOLS[:2])
        assert watching.incidents() == [("actor_down", "ingest/SOLUSDT")]
        stores.catalog.save_incident(Incident("j", "actor_down", "router", "signal 9", 1))
        await watching.looks(20)
        assert watching.incidents() == [("actor_down", "ingest/SOLUSDT"), ("actor_down", "router")]

    with_stores(tmp_path, check)


def test_a_part_that_is_down_holds_its_symbols_up() -> None:
    def incident(kind: str, subject: str) -> Incident:
        return Incident("i", kind, subject, "signal 9", 1)

    assert down([incident("actor_down", "ingest/BTCUSDT"), incident("store_down", "router")], SYMBOLS) == {"BTCUSDT"}
    assert down([incident("actor_down", "router")], SYMBOLS) == set(SYMBOLS)
    assert down([incident("actor_down", "http")], SYMBOLS) == set()


def test_while_a_store_is_away_nothing_is_concluded(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        watching = Watching(stores)
        stores.catalog.away = True
        with pytest.raises(StoreUnavailable):
            await watching.looks(1)
        stores.catalog.away = False
        await watching.looks(5, *SYMBOLS)
        stores.catalog.away = True
        with pytest.raises(StoreUnavailable):
            await watching.looks(30)
        stores.catalog.away = False
        assert watching.incidents() == []
        await watching.looks(1)
        assert watching.incidents() == [("feed_down", "feed")]

    with_stores(tmp_path, check)


@pytest.mark.parametrize("by", [2 * HOURS_MS, -2 * HOURS_MS])
def test_a_clock_that_is_set_raises_one_incident_and_neither_alarm_nor_gap(tmp_path: Path, by: int) -> None:
    async def check(stores: Stores) -> None:
        watching = Watching(stores)
        stores.clock = watching.clock  # type: ignore[assignment]
        audits = auditor(stores)
        stores.store([minute(n) for n in range(1, 5)])
        await audit(audits)
        before = scores(stores)
        with captured() as lines:
            await watching.looks(2, *SYMBOLS)
            watching.host.off_ms = by
            await watching.looks(2, *SYMBOLS)
            await audit(audits)
            await watching.looks(20, *SYMBOLS)
        assert watching.incidents() == [("clock_jumped", "host")]
        (incident,) = stores.catalog.incidents()
        assert incident.ended_ms is not None
        assert f"{by // 1000:+d} s" in incident.detail
        assert [(line["event"], line["by_s"]) for line in lines] == [("clock_jumped", by // 1000)]
        assert gaps(stores) == []
        assert scores(stores) == before

    with_stores(tmp_path, check)


def scores(stores: Stores) -> dict[str, Any]:
    return {each.dataset_id: each.quality_score for each in stores.catalog.latest_health()}


def test_it_follows_the_hosts_clock_once_the_exchanges_own_times_say_that_it_is_right(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        watching = Watching(stores)
        await watching.looks(1, *SYMBOLS)
        watching.host.off_ms = 2 * HOURS_MS  # as after a suspended machine has woken up
        await watching.looks(2, *SYMBOLS)
        assert now_ms(watching.clock) == watching.host.ms
        right = watching.host.ms + watching.host.off_ms
        stores.store([trade(1, time_ms=right, stored_ms=right)])
        with captured() as lines:
            await watching.looks(2, *SYMBOLS)
        assert now_ms(watching.clock) == watching.host.ms + watching.host.off_ms
        assert [line["event"] for line in lines] == ["clock_followed"]
        assert watching.incidents() == [("clock_jumped", "host")]

    with_stores(tmp_path, check)


def test_a_quiet_symbol_that_is_retired_is_nobodys_trouble_and_one_that_is_added_is_watched(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        watching = Watching(stores)
        await watching.looks(20, *SYMBOLS[:2])
        assert watching.incidents(open_only=True) == [("symbol_quiet", "SOLUSDT")]
        watching.symbols.become(SYMBOLS[:2])
        with captured() as lines:
            await watching.looks(1, *SYMBOLS[:2])
        assert watching.incidents(open_only=True) == []
        assert lines == []  # nothing flows again
        watching.symbols.become([*SYMBOLS[:2], "XRPUSDT"])
        await watching.looks(5, *SYMBOLS[:2])
        assert watching.incidents(open_only=True) == []
        await watching.looks(5, *SYMBOLS[:2])
        assert watching.incidents(open_only=True) == [("symbol_quiet", "XRPUSDT")]

    with_stores(tmp_path, check)


def test_without_any_symbol_nothing_is_told(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        watching = Watching(stores)
        watching.symbols.become(())
        await watching.looks(20)
        assert watching.incidents() == []

    with_stores(tmp_path, check)
