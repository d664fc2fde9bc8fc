"""Jobs from their request to their proof: a real worker, a simulated exchange over HTTP, real stores."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from data_manager.actors.exchange.faults import Banned, Empty, Fault, MissingIds, ServerError, Slow, TooMany, Truncated
from data_manager.storage.protocols import Event, Write
from data_manager.storage.records import Candle, Funding, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.worker import Status
from tests.actors.backfill import told
from tests.actors.backfill.clocks import HeldClock
from tests.actors.backfill.working import BTC, DAY, ETH, HOUR, MINUTE, NOW, Work, gap, job, working


def test_a_job_for_candles_ends_with_exactly_the_exchanges_rows(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        (done,) = await work.completed(work.request(job()))
        assert told.said(work.bars()) == told.said(await told.bars("1m", NOW - 3 * HOUR, NOW - 2 * HOUR))
        assert (done.progress, done.records_fetched, done.records_inserted) == (100.0, 60, 60)

    working(tmp_path, scenario)


def test_longer_bars_are_rolled_up_and_equal_the_exchanges_own(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        start = NOW - 2 * DAY
        await work.completed(work.request(job(start_ms=start, end_ms=start + DAY)))
        for timeframe in ("5m", "15m", "1h", "4h", "1d"):
            assert told.numbers(work.bars(timeframe)) == told.numbers(await told.bars(timeframe, start, start + DAY))
        assert {bar.source for bar in work.rows(Candle)} == {"rest"}

    working(tmp_path, scenario)


def test_a_job_for_trades_brings_every_aggtrade_and_the_bars_of_its_minutes(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        start, end = NOW - 2 * HOUR, NOW - HOUR
        await work.completed(work.request(job(data_type="trades", start_ms=start, end_ms=end)))
        assert told.said(work.rows(Trade)) == told.said(await told.trades(start, end))
        whole = [bar for bar in work.bars() if bar.complete]
        theirs = await told.bars("1m", start, end)
        assert told.numbers(whole) == told.numbers(theirs[1:-1])  # whether the first and last are whole nobody knows

    working(tmp_path, scenario)


def test_a_job_for_funding_brings_the_settled_rates(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        await work.completed(work.request(job(data_type="funding", start_ms=NOW - 30 * DAY, end_ms=NOW)))
        assert told.said(work.rows(Funding)) == told.said(await told.funding(NOW - 30 * DAY, NOW))
        assert len(work.rows(Funding)) == 90

    working(tmp_path, scenario)


# -- what the exchange does not have --------------------------------------------------------------------------


def test_an_interval_that_the_exchange_says_is_empty_is_asked_for_once(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        start, end = NOW - 3 * HOUR, NOW - 2 * HOUR
        work.exchange.faults.add(Empty(symbol=BTC, start=start + 10 * MINUTE, end=start + 20 * MINUTE))
        await work.completed(work.request(job(start_ms=start, end_ms=end)))
        asked = work.requests("klines")
        (empty,), _ = work.catalog.gaps(statuses=["exchange_empty"])
        assert (empty.start_ms, empty.end_ms) == (start + 10 * MINUTE, start + 20 * MINUTE)
        assert empty.cause == "exchange"
        assert "nothing between these times" in str(empty.evidence)
        inside = {"start_ms": start + 12 * MINUTE, "end_ms": start + 18 * MINUTE}
        (done,) = await work.completed(work.request(job("job-2", **inside)))
        assert (done.records_fetched, work.requests("klines")) == (0, asked)

    working(tmp_path, scenario)


@pytest.mark.parametrize("data_type", ["candles", "trades", "funding_rates"])
def test_a_gap_that_the_exchange_has_nothing_for_ends_as_exchange_empty(tmp_path: Path, data_type: str) -> None:
    async def scenario(work: Work) -> None:
        missing = gap(data_type=data_type)
        work.exchange.faults.add(Empty(symbol=BTC, start=missing.start_ms, end=missing.end_ms))
        work.find(missing)
        await work.until(lambda: work.gap("gap-1").status == "exchange_empty")
        ended = work.gap("gap-1")
        await work.completed(str(ended.job_id))
        assert (ended.start_ms, ended.end_ms, ended.closed_ms) == (missing.start_ms, missing.end_ms, NOW)
        assert work.catalog.gaps()[1] == 1
        asked = sum(work.exchange.requests.values())
        again = job(
            "again", data_type=data_type.removesuffix("_rates"), start_ms=missing.start_ms, end_ms=missing.end_ms
        )
        await work.completed(work.request(again))
        assert sum(work.exchange.requests.values()) == asked

    working(tmp_path, scenario)


def test_a_rate_that_never_settled_is_no_more_missing(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        work.exchange.faults.add(Empty(symbol=BTC, start=NOW - 5 * DAY, end=NOW - 5 * DAY + 1))
        asked = job(data_type="funding", start_ms=NOW - 10 * DAY, end_ms=NOW)
        await work.completed(work.request(asked))
        assert len(work.rows(Funding)) == 29
        (empty,), _ = work.catalog.gaps(statuses=["exchange_empty"])
        assert (empty.start_ms, empty.end_ms) == (NOW - 5 * DAY, NOW - 5 * DAY + MINUTE)

    working(tmp_path, scenario)


def test_ids_that_the_exchange_skips_are_remembered_and_no_more_missing(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        start, end = NOW - 2 * HOUR, NOW - 2 * HOUR + 5 * MINUTE
        theirs = await told.trades(start, end)
        lost = theirs[20:25]
        work.exchange.faults.add(MissingIds(symbol=BTC, first=lost[0].trade_id, last=lost[-1].trade_id))
        await work.completed(work.request(job(data_type="trades", start_ms=start, end_ms=end)))
        assert told.said(work.rows(Trade)) == told.said([trade for trade in theirs if trade not in lost])
        (skipped,), _ = work.catalog.gaps(statuses=["exchange_empty"])
        assert (skipped.start_ms, skipped.end_ms) == (theirs[19].time_ms, theirs[25].time_ms + 1)
        asked = work.requests("aggTrades")
        exactly = {"start_ms": skipped.start_ms, "end_ms": skipped.end_ms}
        await work.completed(work.request(job("again", data_type="trades", **exactly)))
        assert work.requests("aggTrades") == asked

    working(tmp_path, scenario)


def test_a_symbol_that_the_exchange_does_not_know_makes_its_gap_unfillable(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        work.find(gap(symbol="NOPEUSDT", dataset_id="candles_NOPEUSDT_1m"))
        await work.until(lambda: work.gap("gap-1").status == "unfillable")
        ended = work.gap("gap-1")
        assert "Invalid symbol." in str(ended.evidence)
        failed = work.job(str(ended.job_id))
        assert failed.status == "failed"
        assert "-1121" in str(failed.error_message)

    working(tmp_path, scenario)


# -- gaps -----------------------------------------------------------------------------------------------------


def test_a_gap_is_repaired_and_its_end_left_to_the_audit(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        missing = gap()
        work.find(missing)
        await work.until(lambda: work.repaired())
        repairing = work.gap("gap-1")
        assert repairing.status == "backfilling"
        (done,) = await work.completed(str(repairing.job_id))
        assert (done.reason, done.records_inserted) == ("gap", 10)
        assert [(each.dataset_id, each.start_ms, each.end_ms) for each in work.repaired()][:2] == [
            ("candles_BTCUSDT_1m", missing.start_ms, missing.end_ms),
            ("candles_BTCUSDT_5m", missing.start_ms, missing.end_ms),
        ]
        assert work.counter("auto_backfill_triggered_total", symbol=BTC, timeframe="1m", reason="gap") == 1
        assert work.counter("audit_backfills_triggered_total") == 1
        assert work.gauge("backfill_progress_ratio", symbol=BTC, data_type="candles", timeframe="1m") == 1

    working(tmp_path, scenario)


def test_a_longer_bar_whose_children_are_whole_is_never_asked_for(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        start = NOW - 3 * HOUR
        work.store(*await told.bars("5m", start, start + HOUR))
        work.find(gap(timeframe="15m", start_ms=start, end_ms=start + 2 * HOUR))
        await work.until(lambda: work.repaired())
        assert told.numbers(work.bars("15m")) == told.numbers(await told.bars("15m", start, start + 2 * HOUR))
        assert work.job(str(work.gap("gap-1").job_id)).records_fetched == 4

    working(tmp_path, scenario)


def test_a_gap_without_history_at_the_exchange_has_no_job(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        work.find(gap("book", data_type="depth"), gap("bars"))
        await work.until(lambda: work.repaired())
        assert (work.gap("book").status, work.gap("bars").status) == ("open", "backfilling")

    working(tmp_path, scenario)


def test_without_automatic_backfill_a_gap_waits_for_a_user(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        work.find(gap())
        await work.completed(work.request(job()))
        assert work.gap("gap-1").status == "open"

    working(tmp_path, scenario, enable_auto_backfill=False)


# -- what contradicts -----------------------------------------------------------------------------------------


def test_a_derived_bar_that_differs_from_the_exchanges_is_a_conflict_with_both_values(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        start = NOW - 3 * HOUR
        (theirs,) = await told.bars("1m", start, start + MINUTE)
        ours = replace(theirs, close="1.00", source="trades", first_id=1, last_id=9)
        work.store(ours)
        await work.completed(work.request(job()))
        (conflict,) = work.catalog.conflicts()
        stored, offered = json.loads(conflict.stored_row), json.loads(conflict.offered_row)
        assert (stored["close"], offered["close"]) == ("1.00", theirs.close)
        assert (conflict.dataset_id, conflict.row_key) == ("candles_BTCUSDT_1m", f"1m/{start}")
        assert work.bars()[0].source == "rest"
        assert work.counter("backfill_conflicts_total", symbol=BTC) == 1

    working(tmp_path, scenario)


def test_live_writes_on_the_same_range_leave_one_row_a_key_and_what_differs_is_told(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        start, end = NOW - DAY, NOW - DAY + 20 * HOUR
        theirs = await told.bars("1m", start, end)
        live = [replace(bar, source="kline", feed_seq=number + 1) for number, bar in enumerate(theirs)]
        wrong = {start + 100 * MINUTE, start + 700 * MINUTE, start + 1100 * MINUTE}
        live = [replace(bar, high="999999.00") if bar.open_time in wrong else bar for bar in live]

        work.store(*live[:150])

        def feed() -> None:
            store = SqliteMarketStore(work.settings.market_dir, clock=work.clock)
            for bar in live[150:]:
                store.write(BTC, Write(events=[Event("kline", bar, keep_first=False)]))
            store.close()

        feeding = asyncio.get_running_loop().run_in_executor(None, feed)
        await work.completed(work.request(job(start_ms=start, end_ms=end)))
        await feeding
        await work.completed(work.request(job("job-2", start_ms=start, end_ms=end)))
        assert told.said(work.bars()) == told.said(theirs)
        told_of = {int(conflict.row_key.removeprefix("1m/")) for conflict in work.catalog.conflicts()}
        assert {start + 100 * MINUTE} <= told_of <= wrong  # a live row that comes after the page is skipped by rank

    working(tmp_path, scenario)


def test_a_live_trade_that_differs_is_told_and_stays(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        start, end = NOW - 2 * HOUR, NOW - 2 * HOUR + 5 * MINUTE
        theirs = await told.trades(start, end)
        work.store(replace(theirs[3], price="1.00", feed_seq=7))
        await work.completed(work.request(job(data_type="trades", start_ms=start, end_ms=end)))
        (conflict,) = work.catalog.conflicts()
        assert json.loads(conflict.offered_row)["price"] == theirs[3].price
        assert [trade.price for trade in work.rows(Trade)][3] == "1.00"

    working(tmp_path, scenario)


# -- an exchange that fails -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [ServerError(count=5), Truncated(count=5), Slow(count=2, seconds=0.1)])
def test_an_exchange_that_fails_for_a_while_is_waited_for(tmp_path: Path, fault: Fault) -> None:
    async def scenario(work: Work) -> None:
        work.exchange.faults.add(fault)
        await work.completed(work.request(job()))
        assert told.said(work.bars()) == told.said(await told.bars("1m", NOW - 3 * HOUR, NOW - 2 * HOUR))
        assert work.worker.status().state == "running"

    working(tmp_path, scenario)


def test_an_exchange_that_stays_away_ends_the_job_and_opens_its_gap_again(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        work.exchange.faults.add(ServerError())
        work.find(gap())
        await work.until(lambda: work.gap("gap-1").job_id)
        failed = await work.ended(str(work.gap("gap-1").job_id))
        assert failed.status == "failed"
        assert "503" in str(failed.error_message)
        await work.until(lambda: work.gap("gap-1").status == "open")
        assert work.worker.status() == Status("running")  # it began, and is no reason for a service not to be ready
        assert work.worker.status() == Status("waiting", "exchange")
        assert work.clock.now_ms() > NOW + 3 * MINUTE

    working(tmp_path, scenario)


def test_a_job_that_meets_a_fault_of_our_own_fails_alone(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        await work.completed(work.request(job("first")))
        with contextlib.closing(sqlite3.connect(tmp_path / "market" / f"{BTC}.sqlite3")) as file, file:
            file.execute("UPDATE candles SET high = 'no number' WHERE timeframe = '1m'")
        broken = await work.ended(work.request(job("broken")))
        assert broken.status == "failed"
        assert "A fault of this service's own (InvalidOperation: " in (broken.error_message or "")
        await work.completed(work.request(job("other", data_type="funding", start_ms=NOW - 3 * DAY)))

    working(tmp_path, scenario)


def test_a_budget_that_all_jobs_share_is_never_overspent(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        names = []
        for number in range(6):
            start = NOW - 30 * DAY + number * DAY
            names.append(work.request(job(f"job-{number}", start_ms=start, end_ms=start + 700 * MINUTE)))
        await work.completed(*names)
        assert work.catalog.exchange_state("budget") is None  # not once more than the exchange allows
        assert work.clock.now_ms() >= NOW + MINUTE  # and that was less than they wanted at once

    working(tmp_path, scenario, weight_a_minute=20, binance_rate_limit=20)


def test_bans_hold_across_restarts_and_the_job_goes_on(tmp_path: Path) -> None:
    clock = HeldClock(NOW)

    async def forbidden(work: Work, seconds: int) -> None:
        """Restarted in the middle of the window nobody asks anything."""
        await work.until(lambda: clock.held)
        asked = sum(work.exchange.requests.values())
        await work.stop()
        clock.held.clear()
        clock.move(seconds / 2)
        work.start()
        await work.until(lambda: clock.held)
        assert [work.worker.status() for _ in range(2)] == [Status("running"), Status("waiting", "exchange")]
        clock.move(seconds / 2 - 1)
        assert sum(work.exchange.requests.values()) == asked
        assert work.job("job-1").status == "running"
        clock.move(1)

    async def scenario(work: Work) -> None:
        klines = "/fapi/v1/klines"
        work.exchange.faults.add(TooMany(route=klines, count=1, retry_after_s=30))
        work.exchange.faults.add(Banned(route=klines, count=1, retry_after_s=120))
        work.request(job())
        await forbidden(work, 30)
        await forbidden(work, 120)
        await work.completed("job-1")
        assert work.requests("klines") == 3

    working(tmp_path, scenario, clock=clock)


# -- history --------------------------------------------------------------------------------------------------


def test_new_symbols_begin_with_their_history_once(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        await work.until(lambda: work.catalog.jobs(statuses=["completed"])[1] == 6, 60)
        assert work.requests("klines") == 23
        days = {"1m": 2, "5m": 7, "15m": 7, "1h": 120, "4h": 180, "1d": 400}
        for timeframe, back in days.items():
            assert told.numbers(work.bars(timeframe)) == told.numbers(await told.bars(timeframe, NOW - back * DAY, NOW))
        await work.stop()
        work.start()
        await work.completed(work.request(job()))
        assert work.catalog.jobs()[1] == 7
        assert work.requests("klines") == 23 + 1

    working(tmp_path, scenario, history_bootstrap=True)


def test_a_symbol_that_is_added_begins_with_its_history_too(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        of = lambda symbol: work.catalog.jobs(symbol=symbol)[1]  # noqa: E731
        await work.until(lambda: of(BTC) == 6)
        work.symbols.become((BTC, ETH))
        await work.until(lambda: of(ETH) == 6)
        work.symbols.become((ETH,))
        work.symbols.become((BTC, ETH))
        await work.until(lambda: work.catalog.jobs(statuses=["completed"])[1] == 12, 60)
        assert work.catalog.jobs()[1] == 12  # those of the first are not made again

    working(tmp_path, scenario, history_bootstrap=True)
