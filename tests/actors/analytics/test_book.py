"""What one order book says: golden values by hand, and what the book's end hides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.book import (
    book_of,
    depth_within,
    imbalance,
    reach_bps,
    slippage_of_base,
    slippage_of_quote,
    visible_depth,
    weighted_mid,
)
from data_manager.actors.analytics.results import Unknown
from tests.actors.analytics.books import book, deep, depth
from tests.actors.analytics.series import START_MS


def test_a_stored_snapshot_is_a_book_of_floats():
    found = book_of(depth((("99.5", "2"), ("99", "1")), (("100.5", "3"),)))
    assert found.bids.prices.tolist() == [99.5, 99.0]
    assert found.asks.quantities.tolist() == [3.0]
    assert (found.time_ms, found.mid, found.spread) == (START_MS, 100.0, 1.0)


def test_a_spread_has_the_digits_that_the_exchange_gave():
    found = book_of(depth((("102112.2", "2"),), (("102112.3", "3"),)))
    assert found.spread == 0.1


@pytest.mark.parametrize("level", [("99.5", "0"), ("0", "5"), ("-1", "5")])
def test_a_level_of_nothing_is_none(level: tuple[str, str]):
    found = book_of(depth((level, ("99", "1")), (("100.5", "3"),)))
    assert found.bids.prices.tolist() == [99.0]


@pytest.mark.parametrize(
    ("bids", "asks", "why"),
    [
        ((), (("100", "1"),), "empty"),
        ((("99", "1"),), (), "empty"),
        ((("99", "0"),), (("100", "1"),), "empty"),
        ((("101", "1"),), (("100", "1"),), "crossed"),
        ((("100", "1"),), (("100", "1"),), "crossed"),
    ],
)
def test_what_is_no_book_says_why(bids, asks, why: str):
    found = book_of(depth(bids, asks))
    assert isinstance(found, Unknown)
    assert why in found.reason


def test_the_weighted_middle_leans_to_the_thin_side():
    """Two to buy at 99 against one to sell at 101: the next trade is more likely to lift the ask."""
    assert weighted_mid(book()) == pytest.approx((99 * 1 + 101 * 2) / 3)


def test_imbalance_is_of_the_best_levels():
    assert imbalance(book(), 1) == pytest.approx((2 - 1) / 3)
    assert imbalance(book(), 2) == pytest.approx((5 - 5) / 10)
    assert imbalance(book(), 4) == Unknown("the book holds 3 levels a side")


def test_a_book_reaches_as_far_as_its_shorter_side():
    assert reach_bps(book()) == pytest.approx(10 / 100 * 10_000)
    assert reach_bps(book(bids=((99.0, 1.0), (95.0, 1.0)))) == pytest.approx(500)


def test_depth_is_not_said_beyond_the_end_of_the_book():
    ours = book()
    assert depth_within(ours, ours.bids, 100) == 2.0
    assert depth_within(ours, ours.bids, 200) == 5.0
    assert depth_within(ours, ours.asks, 50) == 0.0
    assert depth_within(ours, ours.asks, 1001) == Unknown("the book ends 1e+03 basis points from mid")


def test_visible_depth_is_what_the_original_counts():
    ours = book()
    assert visible_depth(ours, ours.bids, 1.0) == 2.0
    assert visible_depth(ours, ours.asks, 2.0) == 5.0
    assert visible_depth(ours, ours.asks, 50.0) == 105.0


def test_slippage_walks_the_book():
    ours = book()
    assert slippage_of_base(ours, ours.asks, 1.0) == pytest.approx(1.0)
    assert slippage_of_base(ours, ours.asks, 3.0) == pytest.approx((101 + 2 * 102) / 3 - 100)
    assert slippage_of_base(ours, ours.bids, 4.0) == pytest.approx(100 - (2 * 99 + 2 * 98) / 4)


def test_slippage_of_an_amount_of_money():
    ours = book()
    bought = 1.0 + (305 - 101) / 102
    assert slippage_of_quote(ours, ours.asks, 305.0) == pytest.approx(305 / bought - 100)
    sold = 2.0 + (296 - 198) / 98
    assert slippage_of_quote(ours, ours.bids, 296.0) == pytest.approx(100 - 296 / sold)


def test_a_book_that_is_too_thin_says_so_instead_of_filling_a_part():
    ours = book()
    assert slippage_of_base(ours, ours.asks, 106.0) == Unknown("the book holds less than 106 base units")
    assert slippage_of_quote(ours, ours.asks, 1e6) == Unknown("the book holds less than 1e+06 quote units")
    assert slippage_of_base(ours, ours.asks, 105.0) > 0


@given(st.floats(0.5, 60.0), st.floats(0.5, 60.0))
def test_more_never_costs_less(one: float, other: float):
    ours = deep()
    less, more = sorted((one, other))
    costs = [slippage_of_base(ours, ours.asks, quantity) for quantity in (less, more)]
    assert 0 < costs[0] <= costs[1] + 1e-12


@given(st.floats(1e-3, 1e3))
def test_units_of_price_make_no_difference_to_relative_numbers(factor: float):
    ours, other = deep(), deep(mid=40_000.0 * factor, tick=10.0 * factor)
    assert reach_bps(other) == pytest.approx(reach_bps(ours))
    assert imbalance(other, 5) == imbalance(ours, 5)
    costs = (slippage_of_base(each, each.asks, 3.0) for each in (ours, other))
    assert next(costs) == pytest.approx(next(costs), rel=1e-6)
