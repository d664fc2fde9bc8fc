"""What is quoted rather than traded: the order book, mark and index price, the funding rate."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from data_manager.actors.exchange.instruments import Instrument
from data_manager.actors.exchange.noise import NORMAL, Noise, Stream, log_normals

RATE_SCALE = 8  # decimals of rates, and of mark and index prices
ONE = 10**RATE_SCALE
FUNDING_MS = 8 * 3_600_000
MAX_LEVELS = 1000  # of a side

_MINUTE_MS = 60_000
_UPDATES_A_MS = 5  # update ids follow from the time, so they rise and chain
_LEVEL_SIZE = log_normals(1.0)  # a level's quantity, relative to the average
_LEVEL_MINUTES = 0.02  # a level's average quantity, in minutes of turnover
_WIDEST_GAP = 3  # ticks between neighbouring levels
_FUNDING_MEAN, _FUNDING_SIGMA = 10_000, 8_000  # 0.01 % and 0.008 %
_PREDICTION_SIGMA = 2_000  # how wrong a funding rate is foretold eight hours ahead
_BASIS_SIGMA = 15_000  # mark over index: 0.015 %

Level = tuple[int, int]  # ticks, lots


class Book(NamedTuple):
    """The top of the book, best first."""

    update_id: int
    bids: Sequence[Level]
    asks: Sequence[Level]


class Mark(NamedTuple):
    """Mark and index price and the rate that would be paid, in units of 10**-RATE_SCALE."""

    mark_price: int
    index_price: int
    rate: int
    next_funding_ms: int


def update_id(time_ms: int) -> int:
    """The book's update id at a moment; strictly rising in milliseconds."""
    return time_ms * _UPDATES_A_MS


def make_book(listed: Instrument, noise: Noise, time_ms: int, best_bid: int, levels: int) -> Book:
    """The book around `best_bid` in ticks; fewer levels are the top of more."""
    draws = noise.draws(Stream.BOOK, time_ms, 4 * levels)
    mean = listed.lots_per_minute * _LEVEL_MINUTES
    lots = [1 + int(mean * _LEVEL_SIZE[draw]) for draw in (*draws[0::4], *draws[1::4])]
    below = accumulate((1 + draw % _WIDEST_GAP for draw in draws[2::4][:-1]), initial=0)
    above = accumulate((1 + draw % _WIDEST_GAP for draw in draws[3::4][:-1]), initial=1)
    bids = [(best_bid - depth, lots[i]) for i, depth in enumerate(below) if depth < best_bid]
    asks = [(best_bid + depth, lots[levels + i]) for i, depth in enumerate(above)]
    return Book(update_id(time_ms), bids, asks)


def make_mark(listed: Instrument, noise: Noise, time_ms: int, best_bid: int) -> Mark:
    """Index is the middle of the book; the mark differs from it by a basis that moves slowly."""
    index = (2 * best_bid + 1) * listed.tick * 10 ** (RATE_SCALE - listed.price_scale) // 2
    minute, within = divmod(time_ms, _MINUTE_MS)
    now, then = (noise.normal(Stream.BASIS, m) for m in (minute, minute + 1))
    basis = round(_BASIS_SIGMA * (now + (then - now) * within / _MINUTE_MS))
    next_funding_ms = (time_ms // FUNDING_MS + 1) * FUNDING_MS
    left = (next_funding_ms - time_ms) / FUNDING_MS
    error = round(_PREDICTION_SIGMA * left * NORMAL[noise.draws(Stream.FUNDING, minute, 2)[1]])
    settled = settled_rate(noise, next_funding_ms)
    return Mark(index + index * basis // ONE, index, settled + error, next_funding_ms)


def settled_rate(noise: Noise, funding_ms: int) -> int:
    """The rate settled at a funding time (a multiple of FUNDING_MS), in units of 10**-RATE_SCALE."""
    draw = noise.draws(Stream.FUNDING, funding_ms // _MINUTE_MS, 1)[0]
    return round(_FUNDING_MEAN + _FUNDING_SIGMA * NORMAL[draw])
