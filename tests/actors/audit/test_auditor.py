"""Gaps of a real store, kept in a real catalog from their discovery to their end."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manager.storage.protocols import Incident
from data_manager.storage.records import MINUTE_MS, Symbol
from data_manager.system.errors import StoreUnavailable
from tests.actors.audit.auditors import audit, auditor, gaps, minute
from tests.actors.housekeeping.stores import NOW, Stores, captured, with_stores
from tests.storage.examples import BTC

ETH = Symbol("ETHUSDT")
BACK = 10  # minutes before NOW that the series begins


def test_a_hole_is_a_gap_once_until_it_is_filled_and_then_closed(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        audits = auditor(stores)
        stores.store([minute(n) for n in range(1, BACK) if n not in (4, 5)])
        with captured() as lines:
            await audit(audits)
            stores.clock.ms += 1000
            await audit(audits)
        (gap,) = gaps(stores)
        assert (gap.dataset_id, gap.status, gap.cause) == ("candles_BTCUSDT_1m", "open", "unknown")
        assert (gap.start_ms, gap.end_ms) == (NOW - 5 * MINUTE_MS, NOW - 3 * MINUTE_MS)
        assert (gap.first_seen_ms, gap.last_seen_ms) == (NOW, NOW + 1000)
        assert [line["event"] for line in lines] == ["gap_found"]
        (log,) = stores.catalog.audit_logs(BTC)
        assert log.details.startswith("Gap from ")
        assert stores.counter("audit_gaps_detected_total", symbol=BTC, timeframe="1m") == 1
        assert stores.gauge("gaps_open", symbol=BTC, data_type="candles", timeframe="1m") == 1

        stores.store([minute(4), minute(5)])
        with captured() as lines:
            await audit(audits)
        (gap,) = gaps(stores)
        assert (gap.status, gap.closed_ms) == ("closed", NOW + 1000)
        told = [(line["event"], line["dataset"]) for line in lines]
        assert told == [("gap_closed", "candles_BTCUSDT_1m"), ("gap_found", "candles_BTCUSDT_5m")]  # to be rolled up
        assert stores.gauge("gaps_open", symbol=BTC, data_type="candles", timeframe="1m") == 0
        await audit(audits)
        assert gaps(stores) == [gap]

    with_stores(tmp_path, check)


def test_a_new_process_goes_on_with_the_gaps_that_are_known(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([minute(n) for n in range(1, BACK) if n != 4])
        await audit(auditor(stores))
        await audit(auditor(stores))
        (gap,) = gaps(stores)
        stores.store([minute(4)])
        await audit(auditor(stores))
        assert [(each.gap_id, each.status) for each in gaps(stores)] == [(gap.gap_id, "closed")]

    with_stores(tmp_path, check)


def test_an_actor_that_was_down_is_named_as_the_cause(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        down = NOW - 4 * MINUTE_MS
        stores.catalog.save_incident(Incident("i", "actor_down", f"ingest/{BTC}", "signal 9", down, down + 1000))
        stores.store([minute(n) for n in range(1, BACK) if n != 4])
        await audit(auditor(stores))
        (gap,) = gaps(stores)
        assert gap.cause == "ours"
        assert gap.evidence is not None
        assert "ingest/BTCUSDT: signal 9" in gap.evidence

    with_stores(tmp_path, check)


def test_a_complete_store_has_no_gaps(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        for symbol in (BTC, ETH):
            stores.store(list(map(minute, range(1, BACK))), symbol)
        await audit(auditor(stores))
        assert gaps(stores) == []
        assert stores.gauge("gaps_open", symbol=ETH, data_type="candles", timeframe="1m") == 0

    with_stores(tmp_path, check)


def test_while_the_catalog_is_away_nothing_is_forgotten(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        audits = auditor(stores)
        stores.store([minute(n) for n in range(1, BACK) if n != 4])
        stores.catalog.away = True
        with pytest.raises(StoreUnavailable):
            await audit(audits)
        stores.catalog.away = False
        await audit(audits)
        assert [gap.status for gap in gaps(stores)] == ["open"]

    with_stores(tmp_path, check)
