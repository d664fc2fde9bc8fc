"""Runs and their orders: mirrored pairs that add up to what the run says, for any run at all."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.exchange.bars import bar_of, fills, merge
from data_manager.actors.exchange.instruments import instrument
from data_manager.actors.exchange.minutes import (
    RUN_MS,
    RUNS,
    Runs,
    Shapes,
    bar_of_runs,
    bars_of_shapes,
    make_orders,
    make_shapes,
)
from data_manager.actors.exchange.noise import Noise
from data_manager.actors.exchange.path import STRETCH, PricePath

PURE = settings(derandomize=True, deadline=None, max_examples=60)
COUNTS = st.integers(2, 40).map(lambda pairs: 2 * pairs)


@st.composite
def minutes(draw: st.DrawFn, orders: int) -> Runs:
    """Any minute whose runs have room for so many orders, calm or wild, one-sided or not."""
    lots = st.lists(st.integers(orders, 10**7), min_size=RUNS, max_size=RUNS)
    bids = st.lists(st.integers(1, 2 * 10**6), min_size=RUNS + 1, max_size=RUNS + 1)
    flat = draw(st.booleans())
    return Runs(
        bids=tuple([draw(st.integers(1, 10**6))] * (RUNS + 1) if flat else draw(bids)),
        half_bought=tuple(draw(lots)),
        half_sold=tuple(draw(lots)),
        sell_first=tuple(draw(st.lists(st.booleans(), min_size=RUNS, max_size=RUNS))),
    )


@PURE
@given(st.data(), COUNTS, st.integers(0, 10**9), st.integers(1, RUNS))
def test_orders_of_any_runs_add_up_to_their_bar(data: st.DataObject, count: int, minute: int, upto: int) -> None:
    runs, noise = data.draw(minutes(count)), Noise(7, "BTCUSDT")
    per_run = count // 2 * 3
    orders = [o for k in range(upto) for o in make_orders(runs, noise, minute * RUNS + k, count)]
    expected = bar_of_runs(runs, upto, minute * RUNS * per_run, per_run)
    assert bar_of(trade for order in orders for trade in fills(order)) == expected


@PURE
@given(st.data(), COUNTS, st.integers(0, 10**9))
def test_orders_of_a_run_are_mirrored_pairs(data: st.DataObject, count: int, run: int) -> None:
    runs = data.draw(minutes(count))
    orders = make_orders(runs, Noise(7, "BTCUSDT"), run, count)
    left, right = runs.bids[run % RUNS : run % RUNS + 2]
    for one, mirror in zip(orders, reversed(orders), strict=True):
        assert (one.sell, one.lots) == (mirror.sell, mirror.lots)
        spread = 0 if one.sell else 2
        assert one.ticks + mirror.ticks == left + right + spread
    assert [order.sell for order in orders[:2]] == [orders[0].sell, not orders[0].sell]


@PURE
@given(st.data(), COUNTS, st.integers(0, 10**9))
def test_orders_keep_time_order_inside_their_run(data: st.DataObject, count: int, run: int) -> None:
    orders = make_orders(data.draw(minutes(count)), Noise(7, "BTCUSDT"), run, count)
    assert run * RUN_MS <= orders[0].time_ms
    assert orders[-1].time_ms < (run + 1) * RUN_MS
    assert all(order.time_ms <= later.time_ms for order, later in pairwise(orders))
    assert all(later.first_id == order.last_id + 1 for order, later in pairwise(orders))
    assert all(trade.lots >= 1 for order in orders for trade in fills(order))


def shapes(stretch: int, count: int) -> Shapes:
    listed, noise = instrument(7, "KEEPUSDT"), Noise(7, "KEEPUSDT")
    return make_shapes(listed, PricePath(noise, listed.sigma), noise, stretch, count)


@PURE
@given(st.integers(0, 200_000), st.integers(0, STRETCH - 1), COUNTS)
def test_made_runs_have_room_for_their_orders(stretch: int, row: int, count: int) -> None:
    runs = shapes(stretch, count).runs(row)
    assert len(runs.bids) == RUNS + 1
    assert len(runs.half_bought) == len(runs.half_sold) == len(runs.sell_first) == RUNS
    assert all(lots >= count for lots in (*runs.half_bought, *runs.half_sold))
    assert min(runs.bids) >= 1


@PURE
@given(st.integers(0, 200_000), st.integers(0, STRETCH - 8), st.sampled_from([1, 2, 4, 8]), COUNTS)
def test_bars_from_arrays_are_those_of_their_minutes(stretch: int, first: int, length: int, count: int) -> None:
    made, per_run = shapes(stretch, count), count // 2 * 3
    per_minute = RUNS * per_run
    ones = [bar_of_runs(made.runs(first + i), RUNS, (9 + i) * per_minute, per_run) for i in range(8)]
    parts = [made.cut(first, first + 3), made.cut(first + 3, first + 8)]
    bars = bars_of_shapes(parts, length, 9 * per_minute, per_minute)
    assert bars == [merge(ones[at : at + length]) for at in range(0, 8, length)]
    assert {type(value) for value in bars[0]} == {int}


@PURE
@given(st.data(), st.integers(1, RUNS - 1))
def test_a_bar_may_be_cut_anywhere(data: st.DataObject, cut: int) -> None:
    runs = data.draw(minutes(4))
    whole, front = bar_of_runs(runs, RUNS, 0, 6), bar_of_runs(runs, cut, 0, 6)
    back = bar_of_runs(Runs(runs.bids[cut:], *(part[cut:] for part in runs[1:])), RUNS - cut, 6 * cut, 6)  # type: ignore[arg-type]
    assert merge([front, back]) == whole
