"""Gaps of a real store, kept in a real catalog from their discovery to their end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from data_manager.actors.audit.funding import EVERY_MS
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.lost import Break
from data_manager.storage.protocols import GapStatus, Health, Incident, Job, Write
from data_manager.storage.records import MINUTE_MS, BookTicker, Funding, Liquidation, MarkPrice, Symbol, Trade
from data_manager.system.errors import StoreUnavailable
from tests.actors.audit.auditors import audit, auditor, gaps, minute
from tests.actors.housekeeping.stores import NOW, Stores, captured, with_stores
from tests.storage.examples import BTC, trade

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
        ((log,), _) = stores.catalog.audit_logs(symbol=BTC)
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


def at(second: float) -> int:
    """A time so many seconds before NOW."""
    return NOW - round(second * 1000)


def mark(second: float) -> MarkPrice:
    return MarkPrice(at(second), at(second), "43000", None, None, None, None, 0, 0, NOW)


def book(second: float) -> BookTicker:
    return BookTicker(at(second), at(second), 1, "1", "1", "2", "1", 0, 0, NOW)


def numbered(number: int, second: float, **fields: Any) -> Trade:
    return trade(number, time_ms=at(second), stored_ms=NOW, **fields)


def job(start: int, end: int, **fields: Any) -> Job:
    told = {"symbol": BTC, "data_type": "candles", "timeframe": "1m", "status": "running", "created_ms": NOW, **fields}
    return Job(job_id=f"{start}-{end}-{told['data_type']}", start_ms=start, end_ms=end, **told)


def test_who_repairs_is_told_once_new_gaps_are_saved(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        told: list[Symbol] = []
        audits = auditor(stores, told.append)
        stores.store([minute(n) for n in range(1, 5)])
        await audit(audits)
        assert told == []
        stores.clock.ms += MINUTE_MS
        await audit(audits)
        await audit(audits)
        assert told == [BTC]

    with_stores(tmp_path, check)


def test_a_gap_that_a_job_has_taken_up_keeps_that_status_while_it_is_seen_again(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        audits = auditor(stores)
        stores.store([minute(n) for n in range(1, BACK) if n != 4])
        await audit(audits)
        (gap,) = gaps(stores)
        moved = stores.catalog.move_gap(
            gap.gap_id, GapStatus.BACKFILLING, only_from=[GapStatus.OPEN], at_ms=NOW, job_id="the job"
        )
        assert moved
        stores.clock.ms += 1000
        await audit(audits)
        (seen,) = gaps(stores)
        assert (seen.status, seen.job_id, seen.last_seen_ms) == ("backfilling", "the job", NOW + 1000)
        stores.store([minute(4)])
        await audits.look_again(BTC, gap.dataset_id, Range(gap.start_ms, gap.end_ms))
        (closed,) = gaps(stores)
        assert (closed.status, closed.job_id, closed.closed_ms) == ("closed", "the job", NOW + 1000)

    with_stores(tmp_path, check)


def test_only_the_dataset_that_was_repaired_is_looked_at_again(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        audits = auditor(stores)
        stores.store([minute(n) for n in range(1, BACK) if n != 4])
        await audit(audits)
        stores.store([minute(4)])
        everything = Range(0, NOW)
        for other in ("candles_BTCUSDT_5m", "trades_BTCUSDT", "funding_rates_BTCUSDT", "depth_BTCUSDT", "unheard_of"):
            await audits.look_again(BTC, other, everything)
        assert [gap.status for gap in gaps(stores)] == ["open"]
        await audits.look_again(BTC, "candles_BTCUSDT_1m", everything)
        assert [gap.status for gap in gaps(stores)] == ["closed"]

    with_stores(tmp_path, check)


def test_what_an_open_job_fetches_is_no_new_gap(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([minute(n) for n in range(1, BACK) if n not in (3, 4, 7)])
        covers = job(NOW - 4 * MINUTE_MS, NOW - 3 * MINUTE_MS)
        stores.catalog.save_job(covers)
        stores.catalog.save_job(job(0, NOW, timeframe="5m"))
        stores.catalog.save_job(job(1, NOW, status="failed"))
        await audit(auditor(stores))
        found = [(NOW - gap.start_ms) // MINUTE_MS for gap in gaps(stores)]
        assert found == [7, 3]
        stores.catalog.save_job(msgspec.structs.replace(covers, status="failed"))
        await audit(auditor(stores))
        assert [(NOW - gap.start_ms) // MINUTE_MS for gap in gaps(stores)] == [7, 4]  # the one of 3 has grown

    with_stores(tmp_path, check)


def test_a_bootstrap_is_where_a_series_begins(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([minute(n) for n in range(1, BACK)])
        begin = NOW - 20 * MINUTE_MS
        stores.catalog.save_job(job(begin, NOW, reason="bootstrap", status="completed"))
        stores.catalog.save_job(job(0, NOW, reason="user", status="completed"))
        await audit(auditor(stores))
        (gap,) = gaps(stores)
        assert (gap.start_ms, gap.end_ms) == (begin, NOW - (BACK - 1) * MINUTE_MS)

    with_stores(tmp_path, check)


@pytest.mark.parametrize("status", [GapStatus.EXCHANGE_EMPTY, GapStatus.UNFILLABLE])
def test_what_nobody_has_is_not_looked_for_again(tmp_path: Path, status: GapStatus) -> None:
    async def check(stores: Stores) -> None:
        told: list[Symbol] = []
        audits = auditor(stores, told.append)
        stores.store([minute(n) for n in range(1, BACK) if n not in (4, 5)])
        await audit(audits)
        (gap,) = gaps(stores)
        stores.catalog.move_gap(gap.gap_id, status, only_from=[GapStatus.OPEN], at_ms=NOW, evidence="said so")
        for _ in range(2):
            await audit(audits)
        audits.forget()
        await audit(audits)
        (same,) = gaps(stores)
        assert (same.status, same.evidence, told) == (status, "said so", [BTC])

    with_stores(tmp_path, check)


def test_an_interval_that_the_exchange_says_is_empty_lowers_no_score(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        audits = auditor(stores)
        stores.store([minute(n) for n in range(1, BACK) if n not in (4, 5)])
        await audit(audits)
        assert health(stores).completeness == pytest.approx(100 * 6 / 8)
        assert completeness(stores) == pytest.approx(6 / 8)
        (gap,) = gaps(stores)
        stores.catalog.move_gap(gap.gap_id, GapStatus.EXCHANGE_EMPTY, only_from=[GapStatus.OPEN], at_ms=NOW)
        await audit(audits)
        measured = health(stores)
        assert (measured.completeness, measured.quality_score, measured.gaps_count) == (100, 100, 0)
        assert completeness(stores) == 1

    with_stores(tmp_path, check)


def health(stores: Stores, dataset_id: str = "candles_BTCUSDT_1m") -> Health:
    return next(each for each in stores.catalog.latest_health(BTC) if each.dataset_id == dataset_id)


def completeness(stores: Stores) -> float | None:
    labels = {"symbol": BTC, "data_type": "candles", "timeframe": "1m"}
    return stores.gauge("audit_completeness_ratio", **labels)


def test_health_is_one_row_an_hour_that_is_always_current_and_one_for_each_change_of_band(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        audits = auditor(stores)
        stores.store([minute(n) for n in range(1, BACK)])
        await audit(audits)
        stores.clock.ms += 1000
        await audit(audits)
        dataset = "candles_BTCUSDT_1m"
        (row,) = stores.catalog.health_history(dataset)
        assert (row.at_ms, row.freshness_seconds, row.quality_score) == (NOW + 1000, 61, 100)
        gauge = {"symbol": BTC, "data_type": "candles", "timeframe": "1m"}
        assert stores.gauge("audit_health_score", **gauge) == 100
        stores.clock.ms += 20 * MINUTE_MS
        await audit(audits)
        assert len(stores.catalog.health_history(dataset)) == 2
        score = health(stores).quality_score
        assert score is not None
        assert score < 70
        assert stores.gauge("audit_health_score", **gauge) == pytest.approx(score)

    with_stores(tmp_path, check)


def test_every_type_that_holds_data_has_its_health(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        liquidation = Liquidation(at(60), "SELL", "1", "1", None, None, None, None, 0, 0, NOW)
        stores.store([minute(2), minute(1), numbered(1, 50), numbered(2, 20), mark(90), mark(10), liquidation])
        stores.tests.write(BTC, Write(side=[Funding(at(30_000), at(1), "0.0001", None, True, 0, 0, NOW)]))
        await audit(auditor(stores))
        rows = {each.dataset_id: each for each in stores.catalog.latest_health(BTC)}
        assert {"candles_BTCUSDT_1m", "trades_BTCUSDT", "mark_prices_BTCUSDT", "funding_rates_BTCUSDT"} < rows.keys()
        assert "depth_BTCUSDT" not in rows
        assert rows["trades_BTCUSDT"].completeness == 100
        assert rows["trades_BTCUSDT"].freshness_seconds == 20
        unknown = rows["liquidations_BTCUSDT"]  # have no schedule
        assert (unknown.completeness, unknown.quality_score, unknown.freshness_seconds) == (None, None, 60)

    with_stores(tmp_path, check)


def test_trades_whose_ids_are_missing_are_a_gap_until_they_come(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        audits = auditor(stores)
        stores.store([numbered(n, 900 - n) for n in range(1, 20) if n not in (7, 8)])
        await audit(audits)
        (gap,) = gaps(stores, "trades_BTCUSDT")
        assert (gap.start_ms, gap.end_ms, gap.data_type) == (at(894), at(891) + 1, "trades")
        assert gap.evidence == "no trade covers 2 ids: 7..8"
        assert health(stores, "trades_BTCUSDT").completeness == pytest.approx(100 * 17 / 19)
        stores.store([numbered(7, 893), numbered(8, 892)])
        await audits.look_again(BTC, gap.dataset_id, Range(gap.start_ms, gap.end_ms))
        assert [each.status for each in gaps(stores, "trades_BTCUSDT")] == ["closed"]
        await audit(audits)
        assert health(stores, "trades_BTCUSDT").completeness == 100
        assert len(gaps(stores, "trades_BTCUSDT")) == 1

    with_stores(tmp_path, check)


def test_a_start_looks_a_day_back_at_trades_and_at_their_known_gaps_and_all_back_when_it_is_told_to(
    tmp_path: Path,
) -> None:
    async def check(stores: Stores) -> None:
        day = 86_400
        stores.store([numbered(1, 3 * day), numbered(5, 3 * day - 1), numbered(9, 2 * day), numbered(10, 60)])
        first = auditor(stores)
        await audit(first)
        assert gaps(stores, "trades_BTCUSDT") == []
        first.forget()
        await audit(first)
        assert [gap.status for gap in gaps(stores, "trades_BTCUSDT")] == ["open", "open"]
        stores.store([numbered(n, 3 * day - 0.5) for n in (2, 3, 4)])
        await audit(auditor(stores))
        assert [gap.status for gap in gaps(stores, "trades_BTCUSDT")] == ["closed", "open"]

    with_stores(tmp_path, check)


def test_a_funding_rate_that_did_not_settle_is_a_gap(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        slot = NOW // EVERY_MS * EVERY_MS
        rates = [Funding(slot - n * EVERY_MS, NOW, "0.0001", None, True, 0, 0, NOW) for n in (4, 3, 1, 0)]
        stores.tests.write(BTC, Write(side=rates))
        stores.clock.ms = slot + 3_600_000
        await audit(auditor(stores))
        (gap,) = gaps(stores, "funding_rates_BTCUSDT")
        assert (gap.start_ms, gap.end_ms) == (slot - 2 * EVERY_MS, slot - 2 * EVERY_MS + MINUTE_MS)

    with_stores(tmp_path, check)


def test_a_silence_of_a_type_without_history_cannot_be_filled_and_names_who_was_alive(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        audits = auditor(stores)
        stores.store([mark(n) for n in (*range(600, 500, -3), *range(300, 200, -3))])
        stores.store([book(n) for n in range(600, 200, -5)])
        with captured() as lines:
            for _ in range(2):
                await audit(audits)
            await audit(auditor(stores))  # another process finds the same one
        (gap,) = gaps(stores, "mark_prices_BTCUSDT")
        assert (gap.status, gap.cause, gap.closed_ms) == ("unfillable", "feed", NOW)
        assert (gap.start_ms, gap.end_ms) == (at(501) + 1, at(300))
        assert gap.evidence == "no row for 201 s; book_tickers of the symbol came meanwhile"
        assert gaps(stores, "book_tickers_BTCUSDT") == []
        assert [line["event"] for line in lines] == ["gap_found"]
        assert stores.catalog.audit_logs(symbol=BTC)[1] == 1
        lost = health(stores, "mark_prices_BTCUSDT").completeness
        assert lost == pytest.approx(100 * (600 - 200) / 600, abs=0.5)

    with_stores(tmp_path, check)


def test_a_silence_of_everything_is_the_exchanges_or_ours_where_we_were_down(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        for symbol in (BTC, ETH):
            stores.store([mark(n) for n in (*range(600, 500, -3), *range(300, 200, -3))], symbol)
        stores.catalog.save_incident(Incident("i", "actor_down", f"ingest/{ETH}", "signal 9", at(400), at(350)))
        await audit(auditor(stores))
        (exchange,) = gaps(stores, "mark_prices_BTCUSDT")
        (ours,) = gaps(stores, "mark_prices_ETHUSDT")
        assert (exchange.cause, ours.cause) == ("exchange", "ours")
        assert "nothing of ours was down" in str(exchange.evidence)
        assert "ingest/ETHUSDT: signal 9" in str(ours.evidence)

    with_stores(tmp_path, check)


def test_a_broken_chain_of_depth_updates_is_one_gap_with_both_ids(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        audits = auditor(stores)
        breaks = [
            Break(BTC, f"the chain ended at {n}, the next update follows {n + 5}", Range(n, n + 2000)) for n in (7, 9)
        ]
        for _ in range(2):
            await audits.keep_breaks(breaks)
        first, second = gaps(stores, "depth_BTCUSDT")
        assert (first.status, first.cause, first.evidence) == ("unfillable", "feed", breaks[0].ids)
        assert (second.start_ms, second.end_ms, second.evidence) == (9, 2009, breaks[1].ids)

    with_stores(tmp_path, check)
