"""The shape of a minute, from which both its bar and its orders follow exactly.

A minute is RUNS straight runs of the price between points of the path. The orders of a run come in mirrored
pairs of one side and one size, so that what a run adds to its bar is known without making its orders:

- the members of a pair stand at a + d and b - d, where a and b are the run's ends: together `lots * (a + b)`;
- the path is the best bid; the ask is one tick above it; buys trade at the ask, sells at the bid;
- the outermost two pairs of each run are one buy and one sell at its ends, so high and low are known too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_manager.actors.exchange.bars import FILLS, Order, SimBar
from data_manager.actors.exchange.instruments import Instrument
from data_manager.actors.exchange.noise import DRAWS, NORMALS, Floats, Integers, Noise, Stream, log_normals
from data_manager.actors.exchange.path import STRETCH, PricePath, bridge, day_cycle

MINUTE_MS = 60_000
RUNS = 16  # of a minute; a power of two
RUN_MS = MINUTE_MS // RUNS
MIN_ORDERS = 4  # of a run: two pairs
TRADES_OF_TWO = sum(FILLS)  # raw trades of two neighbouring orders

_LEAST_LOTS = max(FILLS)  # of an order: one lot a fill
_RUN_SIZES: Floats = np.array(log_normals(0.5))  # a run's volume, and an order's size, relative to the average
_ORDER_SIZE = log_normals(1.3)
_BUYERS_SIGMA = 0.12  # of the share of a run's volume that buys; 4 sigma stay inside 0 and 1
_JITTER = 0.8  # how much of its slot an order's time may take
_WILDEST = 10.0  # beyond it volatility no longer raises volume


class Runs(NamedTuple):
    """Best bids at the ends of the runs; half the lots bought and sold in each; does a sell come first?"""

    bids: tuple[int, ...]
    half_bought: tuple[int, ...]
    half_sold: tuple[int, ...]
    sell_first: tuple[bool, ...]


class Shapes(NamedTuple):
    """The runs of many minutes: arrays with the fields of Runs, a row for each minute."""

    bids: Integers
    half_bought: Integers
    half_sold: Integers
    sell_first: NDArray[np.bool_]

    def runs(self, row: int) -> Runs:
        """One minute's."""
        return Runs(*(tuple(column[row].tolist()) for column in self))

    def cut(self, first: int, end: int) -> Shapes:
        """The minutes `first <= row < end`, as far as there are any."""
        bids, bought, sold, sell_first = self
        return Shapes(bids[first:end], bought[first:end], sold[first:end], sell_first[first:end])


def make_shapes(listed: Instrument, path: PricePath, noise: Noise, stretch: int, orders: int) -> Shapes:
    """The STRETCH minutes of a stretch since 1970, each run with room for `orders` orders."""
    offsets, volatility = (column[:, None] for column in path.stretch(stretch))
    minutes = range(stretch * STRETCH, (stretch + 1) * STRETCH)
    draws = noise.table(Stream.MINUTE, minutes, 4 * RUNS)
    middles, sizes, shares, sides = np.split(draws, 4, axis=1)
    bids = listed.base_ticks * np.exp(_refine(offsets, volatility * listed.sigma, NORMALS[middles]))
    cycle = np.array([day_cycle(minute) for minute in minutes])[:, None]
    lively = listed.lots_per_minute / RUNS / 2 * cycle * np.minimum(volatility, _WILDEST)
    half = lively * _RUN_SIZES[sizes]
    buyers = 0.5 + _BUYERS_SIGMA * NORMALS[shares]
    least = _LEAST_LOTS * orders // 2
    return Shapes(
        bids=np.maximum(1, np.rint(bids).astype(np.int64)),
        half_bought=least + (half * buyers).astype(np.int64),
        half_sold=least + (half * (1 - buyers)).astype(np.int64),
        sell_first=sides >= DRAWS // 2,
    )


def _refine(ends: Floats, sigma: Floats, normals: Floats) -> Floats:
    """The path at the ends of all runs, from the ends of the minutes."""
    offsets = np.empty((len(ends) - 1, RUNS + 1))
    offsets[:, :1], offsets[:, RUNS:] = ends[:-1], ends[1:]
    step, used = RUNS, 0
    while step > 1:
        pairs = RUNS // step
        middles = bridge(offsets[:, :-1:step], offsets[:, step::step], sigma, normals[:, used : used + pairs])
        offsets[:, step // 2 :: step] = middles
        step, used, sigma = step // 2, used + pairs, sigma / math.sqrt(2)
    return offsets


def bars_of_shapes(parts: Sequence[Shapes], length: int, first_id: int, trades_per_minute: int) -> list[SimBar]:
    """Bars of `length` minutes each, from the minutes of all parts in turn; their first raw trade is `first_id`."""
    bids, bought, sold, sell_first = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    count = len(bids) // length
    both_ends = bids[:, :-1] + bids[:, 1:]
    buy_volume, buy_quote, sell_volume, sell_quote = (
        column.reshape(count, -1).sum(axis=1) for column in (bought, (both_ends + 2) * bought, sold, both_ends * sold)
    )
    first_ids = first_id + np.arange(count) * length * trades_per_minute
    columns = (
        (bids[:, 0] + ~sell_first[:, 0])[::length],
        bids.reshape(count, -1).max(axis=1) + 1,
        bids.reshape(count, -1).min(axis=1),
        (bids[:, RUNS] + ~sell_first[:, RUNS - 1])[length - 1 :: length],
        2 * (buy_volume + sell_volume),
        buy_quote + sell_quote,
        2 * buy_volume,
        buy_quote,
        first_ids,
        first_ids + length * trades_per_minute - 1,
    )
    return [SimBar(*bar) for bar in zip(*(column.tolist() for column in columns), strict=True)]


def bar_of_runs(runs: Runs, count: int, first_id: int, trades_per_run: int) -> SimBar:
    """The bar of the first `count` (at least one) runs of a minute whose first raw trade is `first_id`."""
    bids, bought, sold, sell_first = runs
    quote = buy_quote = 0
    for run in range(count):
        both_ends = bids[run] + bids[run + 1]
        buy_quote += (both_ends + 2) * bought[run]
        quote += both_ends * sold[run]
    return SimBar(
        open=bids[0] + (not sell_first[0]),
        high=max(bids[: count + 1]) + 1,
        low=min(bids[: count + 1]),
        close=bids[count] + (not sell_first[count - 1]),
        volume=2 * (sum(bought[:count]) + sum(sold[:count])),
        quote=quote + buy_quote,
        taker_buy_volume=2 * sum(bought[:count]),
        taker_buy_quote=buy_quote,
        first_id=first_id,
        last_id=first_id + count * trades_per_run - 1,
    )


def make_orders(runs: Runs, noise: Noise, run: int, count: int) -> tuple[Order, ...]:
    """The `count` orders of a run, which is counted since 1970; by id, which is also by time."""
    k, half = run % RUNS, count // 2
    draws = noise.draws(Stream.ORDERS, run, 3 * count)
    bought, sold = runs.half_bought[k], runs.half_sold[k]
    sells = _sides(draws[:half], runs.sell_first[k], sold / (bought + sold))
    sizes = _sizes(draws[half:count], sells, bought, sold)
    bids = _bids(runs.bids[k], runs.bids[k + 1], count)
    times, splits = draws[count : 2 * count], draws[2 * count :]
    slot_ms = RUN_MS / count
    orders, trade_id = [], run * half * TRADES_OF_TWO
    for place in range(count):
        pair = min(place, count - 1 - place)
        lots, last_id = sizes[pair], trade_id + FILLS[place % 2] - 1
        middle = place + 0.5 + _JITTER * (times[place] / DRAWS - 0.5)
        orders.append(
            Order(
                agg_id=run * count + place,
                first_id=trade_id,
                last_id=last_id,
                time_ms=run * RUN_MS + int(middle * slot_ms),
                ticks=bids[place] + (not sells[pair]),
                lots=lots,
                first_lots=lots if last_id == trade_id else 1 + int((lots - 1) * splits[place] / DRAWS),
                sell=sells[pair],
            )
        )
        trade_id = last_id + 1
    return tuple(orders)


def _sides(draws: Sequence[int], sell_first: bool, share_sold: float) -> list[bool]:
    """Which pairs sell; the outermost two differ."""
    return [sell_first, not sell_first, *(draw < share_sold * DRAWS for draw in draws[2:])]


def _sizes(draws: Sequence[int], sells: Sequence[bool], bought: int, sold: int) -> list[int]:
    """Lots of an order of each pair: `bought` shared out among those that buy, `sold` among the others."""
    sizes = [_LEAST_LOTS] * len(sells)
    for side, total in ((False, bought), (True, sold)):
        weights = {pair: _ORDER_SIZE[draws[pair]] for pair, sell in enumerate(sells) if sell is side}
        spare = left = total - _LEAST_LOTS * len(weights)
        scale = spare / sum(weights.values())
        for pair, weight in weights.items():
            share = int(weight * scale)
            sizes[pair] += share
            left -= share
        sizes[max(weights, key=weights.__getitem__)] += left  # what rounding down left over
    return sizes


def _bids(left: int, right: int, count: int) -> list[int]:
    """Best bids under the orders of a run: straight from `left` to `right`, mirrored, two at each end."""
    bids = [left] * count
    for pair in range(count // 2):
        rise = abs(right - left) * max(0, pair - 1) // (count - 3)
        rise = rise if right >= left else -rise
        bids[pair], bids[count - 1 - pair] = left + rise, right - rise
    return bids
