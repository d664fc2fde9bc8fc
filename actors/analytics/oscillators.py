"""Wilder's indicators and MACD at the newest bar. Pure.

Each looks at pairs of adjacent bars only, so a hole leaves out the step across it. Give all bars there are before
the window too: the averages are recursive (smoothing.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_manager.actors.analytics.bars import Bars, Floats
from data_manager.actors.analytics.results import Unknown, too_few
from data_manager.actors.analytics.smoothing import ema, wilder

FLAT = "the price did not move"


class Macd(NamedTuple):
    """The difference of two averages, the average of that, and what is between the two; in price units."""

    line: float
    signal: float
    histogram: float


class Directional(NamedTuple):
    """Wilder's directional movement, each 0 to 100: of both directions, and how far they differ, smoothed."""

    plus: float
    minus: float
    adx: float


def true_ranges(bars: Bars) -> Floats:
    """max(H, C') - min(L, C') of each bar whose predecessor is there, C' the close before. Wilder 1978."""
    at = np.flatnonzero(bars.adjacent)
    before = bars.close[at - 1]
    return np.asarray(np.maximum(bars.high[at], before) - np.minimum(bars.low[at], before))


def atr(bars: Bars, length: int) -> float | Unknown:
    """The average true range, in price units. Wilder 1978."""
    ranges = true_ranges(bars)
    if len(ranges) < length:
        return Unknown(too_few(len(ranges), length, "steps between adjacent bars"))
    return float(wilder(ranges, length)[-1])


def rsi(bars: Bars, length: int) -> float | Unknown:
    """100 G / (G + L), with G and L the smoothed gains and losses of the close; 0 to 100. Wilder 1978."""
    steps = np.diff(bars.close)[bars.adjacent[1:]]
    if len(steps) < length:
        return Unknown(too_few(len(steps), length, "steps between adjacent bars"))
    gain = float(wilder(np.maximum(steps, 0.0), length)[-1])
    loss = float(wilder(np.maximum(-steps, 0.0), length)[-1])
    return 100 * gain / (gain + loss) if gain + loss > 0 else Unknown(FLAT)


def macd(closes: Floats, fast: int, slow: int, signal: int) -> Macd | Unknown:
    """EMA(fast) - EMA(slow) of the close, and its own EMA(signal). Appel 1979.

    Both averages begin with the value at which the slower is seeded, as TA-Lib's do.
    """
    needed = slow + signal - 1
    if len(closes) < needed:
        return Unknown(too_few(len(closes), needed))
    difference = (ema(closes[slow - fast :], fast)[fast - 1 :]) - ema(closes, slow)[slow - 1 :]
    line, average = float(difference[-1]), float(ema(difference, signal)[-1])
    return Macd(line, average, line - average)


def directional(bars: Bars, length: int) -> Directional | Unknown:
    """+DI, -DI and ADX. Wilder 1978.

    A step counts for the direction in which it moved the extreme further; what is smoothed are sums in Wilder's
    book and means here, which makes no difference to their ratios.
    """
    at = np.flatnonzero(bars.adjacent)
    if len(at) < 2 * length:
        return Unknown(too_few(len(at), 2 * length, "steps between adjacent bars"))
    up, down = bars.high[at] - bars.high[at - 1], bars.low[at - 1] - bars.low[at]
    moves = (np.where((up > down) & (up > 0), up, 0.0), np.where((down > up) & (down > 0), down, 0.0))
    ranges = wilder(true_ranges(bars), length)[length - 1 :]
    if ranges[-1] <= 0:
        return Unknown(FLAT)
    plus, minus = (100 * _ratio(wilder(move, length)[length - 1 :], ranges) for move in moves)
    index = 100 * _ratio(np.abs(plus - minus), plus + minus)
    return Directional(float(plus[-1]), float(minus[-1]), float(wilder(index, length)[-1]))


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
