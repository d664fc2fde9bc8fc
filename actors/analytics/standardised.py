"""What a bar is compared with: itself in units of what was usual just before it. Pure.

A large return in wild hours is nothing; the same in quiet ones is. So every value is divided by its exponentially
weighted mean over the bars before, never the bar itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_manager.actors.analytics.bars import Bars, Floats
from data_manager.actors.analytics.smoothing import ewma


class Standardised(NamedTuple):
    """One value for each bar; NaN until `warm_up` values came before it, or where it cannot be known."""

    returns: Floats  # log return over the volatility before it: about standard normal in a calm market
    ranges: Floats  # ln(H/L) over its mean before
    volumes: Floats  # ln(1 + volume over its mean before)
    volatility: Floats  # per bar, from the squared returns before it

    def table(self) -> Floats:
        """The three values that models look at, a column each."""
        return np.column_stack((self.returns, self.ranges, self.volumes))


def standardised(bars: Bars, decay: float, warm_up: int) -> Standardised:
    """Every bar against those before it, the newest of them weighing most. RiskMetrics (1996) for the volatility."""
    returns = bars.log_returns
    volatility = np.sqrt(_before(returns**2, decay, warm_up))
    ranges = np.log(bars.high / bars.low)
    volumes = bars.volume
    return Standardised(
        _ratio(returns, volatility),
        _ratio(ranges, _before(ranges, decay, warm_up)),
        np.log1p(_ratio(volumes, _before(volumes, decay, warm_up))),
        volatility,
    )


def _before(values: Floats, decay: float, warm_up: int) -> Floats:
    """At each place the weighted mean of the known values before it, NaN where these are fewer than `warm_up`."""
    known = np.flatnonzero(~np.isnan(values))
    means = np.concatenate(([np.nan], ewma(values[known], decay)))
    means[:warm_up] = np.nan
    earlier = np.searchsorted(known, np.arange(len(values)))  # how many known values lie before each place
    return np.asarray(means[earlier])


def _ratio(values: Floats, usual: Floats) -> Floats:
    return np.asarray(np.divide(values, usual, out=np.full(len(values), np.nan), where=usual > 0))
