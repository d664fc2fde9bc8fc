"""Prices that stand still though they should not: for how long, and against how much that was traded. Pure."""

from __future__ import annotations

import numpy as np

from data_manager.actors.analytics.bars import Bars, Floats

LEAST_RANGE = 0.1


def still_bars(bars: Bars) -> Floats:
    """Of each bar, for how many bars in a row, itself the last, the price has not moved at all; 0 where it did.

    A bar is still when H = L and its close is the close before; after a hole the count begins anew.
    """
    flat = bars.high == bars.low
    same = np.concatenate(([False], bars.close[1:] == bars.close[:-1]))[: len(bars)] & bars.adjacent
    starts = np.where(flat & ~same, np.arange(len(bars)), -1)
    stops = np.where(~flat, np.arange(len(bars)), -1)
    first = np.maximum.accumulate(np.maximum(starts, stops))
    runs = np.arange(len(bars)) - first + np.where(flat[first], 1, 0)
    return np.where(flat, runs, 0).astype(np.float64)


def volume_per_move(volumes: Floats, ranges: Floats) -> Floats:
    """Volume over range, both in units of what was usual before: large where much was traded and the price stood.

    A range below a tenth of the usual counts as a tenth: also a bar with H = L then has a number.
    """
    return np.asarray(volumes / np.maximum(ranges, LEAST_RANGE))
