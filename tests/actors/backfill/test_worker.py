"""Jobs from their request to their proof: a real worker, a simulated exchange over HTTP, real stores."""

from __future__ import annotations

from pathlib import Path

from data_manager.storage.records import Candle, Funding, Trade
from tests.actors.backfill import told
from tests.actors.backfill.working import DAY, HOUR, NOW, Work, job, working


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
