import pytest
from hypothesis import given, settings, strategies

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill.conf import exchange_conf
from data_manager.actors.backfill.plan import (
    HOUR_MS,
    REQUEST_S,
    Checkpoint,
    DataType,
    Work,
    bootstrap,
    candle_pages,
    estimate,
    of_candles,
    page_size,
    progress,
    rest,
)
from data_manager.storage.records import MINUTE_MS, TIMEFRAMES, Symbol
from data_manager.storage.retention import DAY_MS

pure = settings(derandomize=True, deadline=None)

CONF = exchange_conf()
KLINES, AGG_TRADES, FUNDING = CONF.routes.klines, CONF.routes.agg_trades, CONF.routes.funding_rates
BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")
T0 = 1_800_000_000_000 // DAY_MS * DAY_MS

ranges = strategies.builds(
    lambda start, length: Range(T0 + start, T0 + start + length),
    strategies.integers(0, DAY_MS),
    strategies.integers(0, DAY_MS // 4),
)


def opens(within: Range, length: int) -> list[int]:
    """Every open time in a range, the slow way."""
    return [at for at in range(T0, T0 + 2 * DAY_MS, length) if within.start_ms <= at < within.end_ms]


@pure
@given(ranges, strategies.sampled_from(["1m", "5m", "1h"]), strategies.booleans(), strategies.integers(1, 60))
def test_every_bar_of_a_range_is_in_exactly_one_page_in_the_order_that_was_asked_for(
    within: Range, timeframe: str, newest_first: bool, size: int
):
    length = TIMEFRAMES[timeframe]
    work = of_candles(BTC, timeframe, within, newest_first=newest_first)
    pages = list(candle_pages(work, size))
    assert all(0 < page.bars(length) <= size for page in pages)
    ordered = pages[::-1] if newest_first else pages
    assert [at for page in ordered for at in range(*page, length)] == opens(within, length)


@pure
@given(ranges, strategies.booleans(), strategies.integers(1, 60), strategies.data())
def test_from_any_checkpoint_the_remaining_pages_are_the_same(
    within: Range, newest_first: bool, size: int, data: strategies.DataObject
):
    work = of_candles(BTC, "1m", within, newest_first=newest_first)
    pages = list(candle_pages(work, size))
    done = data.draw(strategies.integers(0, len(pages)))
    if not done:
        return
    last = pages[done - 1]
    checkpoint = Checkpoint(last.start_ms if newest_first else last.end_ms)
    assert list(candle_pages(work, size, checkpoint)) == pages[done:]
    assert (progress(work, checkpoint) == 100) == (done == len(pages))
    assert 0 < progress(work, checkpoint) <= 100


def test_progress_begins_at_nothing_and_an_empty_range_is_done():
    work = of_candles(BTC, "1m", Range(T0, T0 + HOUR_MS))
    assert progress(work, None) == 0
    assert progress(work, Checkpoint(T0 + HOUR_MS // 4)) == 25
    assert progress(of_candles(BTC, "1m", Range(T0 + 1, T0 + 2)), None) == 100


def test_what_is_left_lies_before_the_checkpoint_or_after_it():
    within = Range(T0, T0 + HOUR_MS)
    middle = Checkpoint(T0 + 600_000)
    assert rest(of_candles(BTC, "1m", within), middle) == Range(middle.time_ms, within.end_ms)
    assert rest(of_candles(BTC, "1m", within, newest_first=True), middle) == Range(T0, middle.time_ms)


def test_one_missing_bar_is_one_request_of_the_least_weight():
    work = of_candles(BTC, "1m", Range(T0, T0 + MINUTE_MS))
    assert estimate(work, KLINES, 1200)[:2] == (1, 1)


def test_the_bootstrap_of_a_symbol_is_23_pages_of_499_that_weigh_46():
    jobs = bootstrap([BTC], CONF.bootstrap, T0 + 12345)
    assert {page_size(job, KLINES) for job in jobs} == {499}
    costs = [estimate(job, KLINES, 1200) for job in jobs]
    assert sum(cost.requests for cost in costs) == 23
    assert sum(cost.weight for cost in costs) == 46


def test_the_bootstrap_takes_symbols_in_turn_and_ends_with_the_last_closed_bar_of_each_timeframe():
    now = T0 + 5 * HOUR_MS + 90_000
    jobs = bootstrap([BTC, ETH], CONF.bootstrap, now)
    assert [job.symbol for job in jobs] == [BTC, ETH] * len(TIMEFRAMES)
    assert all(job.newest_first for job in jobs)
    by_timeframe = {job.timeframe: job.within for job in jobs}
    assert by_timeframe["1m"] == Range(T0 + 5 * HOUR_MS + MINUTE_MS - 2 * DAY_MS, T0 + 5 * HOUR_MS + MINUTE_MS)
    assert by_timeframe["4h"].end_ms == T0 + 4 * HOUR_MS
    assert by_timeframe["1d"] == Range(T0 - 400 * DAY_MS, T0)


@pytest.mark.parametrize(
    ("work", "route", "requests", "weight"),
    [
        (Work(BTC, DataType.TRADES, Range(T0, T0 + DAY_MS)), AGG_TRADES, 24, 480),
        (Work(BTC, DataType.TRADES, Range(T0, T0 + 1)), AGG_TRADES, 1, 20),
        (Work(BTC, DataType.FUNDING, Range(T0, T0 + 365 * DAY_MS)), FUNDING, 2, 0),
        (Work(BTC, DataType.FUNDING, Range(T0, T0 + 1)), FUNDING, 1, 0),
    ],
)
def test_what_other_jobs_cost(work: Work, route, requests: int, weight: int):
    assert page_size(work, route) == 1000
    assert estimate(work, route, 1200)[:2] == (requests, weight)


def test_a_job_takes_as_long_as_its_requests_or_its_weight_whichever_is_longer():
    day = Work(BTC, DataType.TRADES, Range(T0, T0 + DAY_MS))
    assert estimate(day, AGG_TRADES, 480).seconds == 60
    assert estimate(day, AGG_TRADES, 1_000_000).seconds == pytest.approx(24 * REQUEST_S)
    half = Checkpoint(T0 + DAY_MS // 2)
    assert estimate(day, AGG_TRADES, 480, half).seconds == 30
