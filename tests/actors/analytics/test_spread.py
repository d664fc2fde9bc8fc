"""Spread: the newest book, books over time that are read once, and the liquidity of bars."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.bars import Window
from data_manager.actors.analytics.book import Book
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.results import Unknown
from data_manager.actors.analytics.spread import Spread, WeightedSum, added, averaged, spread, sums_of
from tests.actors.analytics import literal
from tests.actors.analytics.books import book, deep
from tests.actors.analytics.series import HOUR_MS, START_MS, all_of, still, unknown_volumes, walk, without
from tests.actors.analytics.test_ranges import ten

CONF = analytics_conf().spread
BARS = walk(24)
WINDOW = all_of(BARS)
LIQUIDITY = {"liquidity_ratio", "amihud"}
SMALL = analytics_conf().spread.__class__(60_000, 60_000, (5,), (1,), (1000,), 9)


def of(one: Book | Unknown) -> Spread:
    return spread(one, BARS, WINDOW, CONF)


def now(seconds_ago: float = 0) -> int:
    return WINDOW.end_ms - int(seconds_ago * 1000)


def test_a_deep_book_says_everything():
    result = of(deep(time_ms=now()))
    assert result.state == "complete"
    assert (result.bid_ask_spread, result.mid_price) == (10.0, 40_000.0)
    assert result.spread_percentage == pytest.approx(10 / 40_000 * 100)
    assert result.imbalance == pytest.approx({"5": 5 / 35, "10": 10 / 120, "20": 20 / 440})
    assert result.book_reach_bps == pytest.approx(205 / 4)
    assert result.depth_bid_bps == {"1": 0.0, "10": 2 + 3 + 4 + 5, "50": sum(range(2, 22))}


def test_the_end_of_the_book_is_told_by_entry():
    result = of(book(time_ms=now()))
    assert result.depth_bid_bps == {"1": 0.0, "10": 0.0, "50": 0.0}
    assert result.imbalance == {"5": None, "10": None, "20": None}
    assert result.reasons["imbalance[5]"] == "the book holds 3 levels a side"
    assert result.slippage_buy["1000"] == pytest.approx(100 * (1000 / (1 + 4 + 491 / 110) / 100 - 1))
    assert result.slippage_buy["100000"] is None
    assert result.reasons["slippage_buy[100000]"] == "the book holds less than 100000 quote units"
    assert result.state == "partial"


def test_a_book_of_a_minute_ago_is_used_and_an_older_one_is_not():
    assert of(deep(time_ms=now(60))).mid_price == 40_000.0
    result = of(deep(time_ms=now(60.5)))
    assert result.reasons["mid_price"] == "the newest book is 60.5 s old"
    assert result.imbalance is None
    assert result.envelope.parameters["book_time_ms"] is None
    assert of(deep(time_ms=now(60))).envelope.parameters["book_time_ms"] == now(60)
    assert {name for name in Spread.metrics() if getattr(result, name) is not None} == LIQUIDITY


def test_a_book_of_after_the_bars_close_is_the_newest():
    result = of(deep(time_ms=now(-30)))
    assert result.mid_price == 40_000.0
    assert result.envelope.parameters["book_time_ms"] == now(-30)


def test_what_is_no_book_leaves_its_reason_and_the_bars_liquidity():
    result = of(Unknown("a side of the newest book is empty"))
    assert result.reasons["bid_ask_spread"] == "a side of the newest book is empty"
    assert result.liquidity_ratio > 0


def test_liquidity_of_ten_bars_is_what_the_papers_say():
    bars = ten()
    result = spread(deep(time_ms=now()), bars, all_of(bars), SMALL)
    assert result.amihud == pytest.approx(float(literal.amihud()), rel=1e-12)
    assert result.liquidity_ratio == pytest.approx(float(literal.amivest()), rel=1e-12)


def test_liquidity_takes_returns_with_a_volume():
    assert spread(deep(), unknown_volumes(BARS), WINDOW, CONF).reasons["amihud"].startswith("0 returns")
    bars = without(walk(24), *range(1, 23, 2))
    assert spread(deep(), bars, WINDOW, CONF).liquidity_ratio is None


def test_a_price_that_stands_still_has_no_liquidity_per_move():
    result = spread(deep(time_ms=now()), still(24), WINDOW, CONF)
    assert result.reasons == {"liquidity_ratio": "the price did not move"}
    assert result.amihud == 0.0


def test_a_book_stands_until_the_next():
    books = [deep(tick=tick, time_ms=START_MS + at) for tick, at in ((10.0, 0), (20.0, 10_000), (40.0, 40_000))]
    sums = sums_of(books, START_MS, START_MS + 50_000, CONF)
    expected = (10 * 10_000 + 20 * 30_000 + 40 * 10_000, 50_000)
    assert (sums["bid_ask_spread"].total, sums["bid_ask_spread"].weight_ms) == pytest.approx(expected)


def test_a_book_stands_no_longer_than_a_minute():
    sums = sums_of([deep(), deep(time_ms=START_MS + 600_000)], START_MS, START_MS + 605_000, CONF)
    assert sums["mid_price"].weight_ms == 60_000 + 5_000


def test_a_book_after_the_end_stands_for_nothing():
    assert sums_of([deep(time_ms=START_MS + 10)], 0, START_MS, CONF) == {}
    assert sums_of([], 0, START_MS, CONF) == {}


def test_what_some_books_do_not_tell_is_averaged_over_those_that_do():
    books = [deep(), book(time_ms=START_MS + 10_000)]
    sums = sums_of(books, START_MS, START_MS + 30_000, CONF)
    assert sums["imbalance[5]"] == WeightedSum(pytest.approx(5 / 35 * 10_000), 10_000)
    assert sums["bid_ask_spread"].weight_ms == 30_000


@given(st.lists(st.integers(0, 240), min_size=1, max_size=20, unique=True), st.integers(0, 300), st.integers(0, 240))
def test_sums_of_adjoining_times_add_up_to_those_of_the_whole(seconds: list[int], cut: int, begin: int):
    """Wherever a cycle ends, no book is lost and none counts twice."""
    books = [deep(tick=1.0 + at, time_ms=START_MS + at * 1000) for at in sorted(seconds)]
    start_ms, end_ms = START_MS + begin * 1000, START_MS + 300_000
    cut_ms = max(start_ms, START_MS + cut * 1000)
    carried = [each for each in books if each.time_ms < cut_ms][-1:]
    later = [each for each in books if each.time_ms >= cut_ms]
    parts = [
        sums_of([each for each in books if each.time_ms < cut_ms], start_ms, cut_ms, CONF),
        sums_of([*carried, *later], cut_ms, end_ms, CONF),
    ]
    whole, together = sums_of(books, start_ms, end_ms, CONF), added(parts)
    assert whole.keys() == together.keys()
    for name, each in whole.items():
        assert together[name] == WeightedSum(pytest.approx(each.total), each.weight_ms)


def test_a_book_of_before_stands_into_the_beginning_for_what_is_left_of_its_minute():
    sums = sums_of([deep(), deep(time_ms=START_MS + 100_000)], START_MS + 45_000, START_MS + 110_000, CONF)
    assert sums["mid_price"].weight_ms == 15_000 + 10_000


def test_a_day_is_averaged_from_sums_alone():
    books = [deep(tick=tick, time_ms=START_MS + at) for tick, at in ((10.0, 0), (30.0, 30_000))]
    day = Window("24h", START_MS, START_MS + 24 * HOUR_MS)
    result = averaged(added([sums_of(books, START_MS, START_MS + 60_000, CONF)] * 2), BARS, day, CONF)
    assert result.bid_ask_spread == pytest.approx(20.0)
    assert result.imbalance["20"] == pytest.approx(20 / 440)
    assert result.envelope.completeness == pytest.approx(100 * 120 / 86_400)
    assert result.envelope.parameters["books_stood_ms"] == 120_000
    assert result.liquidity_ratio is not None


def test_a_day_without_books_says_so():
    result = averaged({}, BARS, WINDOW, CONF)
    assert result.reasons["mid_price"] == "no book of this time is known"
    assert result.envelope.completeness == 0
    assert (result.imbalance, result.amihud is not None) == (None, True)


def test_a_metric_that_no_book_of_the_day_told_is_unknown():
    sums = sums_of([book()], START_MS, START_MS + 1000, CONF)
    result = averaged(sums, BARS, WINDOW, CONF)
    assert result.reasons["imbalance[20]"] == "no book of this time tells it"
    assert result.spread_percentage == pytest.approx(2.0)


def test_every_metric_of_a_snapshot_has_an_average():
    snapshot = of(deep(time_ms=now()))
    average = averaged(sums_of([deep()], START_MS, START_MS + 1000, CONF), BARS, WINDOW, CONF)
    for name in Spread.metrics():
        ours, other = getattr(snapshot, name), getattr(average, name)
        assert other == (pytest.approx(ours) if not isinstance(ours, dict) else pytest.approx(ours, nan_ok=True))
