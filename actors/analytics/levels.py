"""Series turned into levels that do not flicker: a level changes after two bars beyond its threshold. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_manager.actors.analytics.bars import Floats

LOW, MEDIUM, HIGH = -1, 0, 1


def levels(values: Floats, low: float, high: float) -> NDArray[np.int64]:
    """LOW, MEDIUM or HIGH of each value, given the last two; values have no NaN and `low` < `high`.

    A threshold counts as passed when two values in a row lie beyond it, and as passed back when two in a row do not.
    The first value decides for itself.
    """
    above_low, above_high = _settled(values >= low), _settled(values > high)
    return above_low.astype(np.int64) + above_high.astype(np.int64) - 1


def _settled(beyond: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each place, what the newest two equal neighbours up to it said."""
    confirmed = np.concatenate(([True], beyond[1:] == beyond[:-1]))[: len(beyond)]
    newest = np.maximum.accumulate(np.where(confirmed, np.arange(len(beyond)), 0))
    return np.asarray(beyond[newest])
