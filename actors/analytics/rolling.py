"""Moments and order statistics over the last `length` values at each place. Pure; NaN until there are so many.

Each window is computed from its own values, not updated from the one before: no error grows along the series.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data_manager.actors.analytics.bars import Floats


def means(values: Floats, length: int) -> Floats:
    """The mean of each window."""
    return _over(values, length, lambda windows: windows.mean(axis=1))


def deviations(values: Floats, length: int) -> Floats:
    """The sample standard deviation (ddof 1) of each window; exactly 0 where its values are all the same."""

    def spread(windows: Floats) -> Floats:
        centred = windows - windows[:, :1]  # a window of equal values is exactly 0 then, whatever its level
        return np.asarray(centred.std(axis=1, ddof=1))

    return _over(values, length, spread)


def medians(values: Floats, length: int) -> Floats:
    """The median of each window."""
    return _over(values, length, lambda windows: np.asarray(np.median(windows, axis=1)))


def _over(values: Floats, length: int, moment: Callable[[Floats], Floats]) -> Floats:
    rolled = np.full(len(values), np.nan)
    if len(values) >= length:
        rolled[length - 1 :] = moment(sliding_window_view(values, length))
    return rolled
