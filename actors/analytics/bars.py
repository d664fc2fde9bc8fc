"""Closed bars as arrays, and the windows that calculators look at. Pure; times in ms UTC, returns per bar.

What is missing is not there: no array is filled, and a return exists only between two bars of which the second
opens where the first closes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_manager.storage.records import Candle

Floats = NDArray[np.float64]

_LABEL = re.compile(r"([1-9][0-9]{0,3})([hd])")
_UNIT_MS = {"h": 3_600_000, "d": 86_400_000}
YEAR_MS = 365 * _UNIT_MS["d"]  # the market never closes


class Bars(msgspec.Struct, frozen=True, eq=False):
    """Closed bars of one symbol and timeframe: arrays of one length, by ascending, distinct open times on the grid.

    Prices are finite and above 0. Volumes are in base units, `quote_volume` in quote units, `trades` a count; NaN
    where the source does not tell.
    """

    interval_ms: int
    open_times: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    quote_volume: Floats
    trades: Floats
    taker_buy: Floats  # the part of `volume` in which the buyer was the aggressor

    def __len__(self) -> int:
        return len(self.open_times)

    def slice(self, start: int, stop: int) -> Bars:
        """The bars of those indices, as views."""
        return Bars(self.interval_ms, *(getattr(self, name)[start:stop] for name in self.__struct_fields__[1:]))

    def between(self, start_ms: int, end_ms: int) -> Bars:
        """The bars that open at or after `start_ms` and before `end_ms`."""
        start, stop = np.searchsorted(self.open_times, (start_ms, end_ms))
        return self.slice(int(start), int(stop))

    @property
    def adjacent(self) -> NDArray[np.bool_]:
        """Of each bar, whether the one before it is there; False for the first."""
        return np.asarray(np.diff(self.open_times, prepend=np.int64(-1)) == self.interval_ms)

    @property
    def log_returns(self) -> Floats:
        """ln(C_t / C_{t-1}) of each bar; NaN where the bar before it is not there."""
        returns = np.diff(np.log(self.close), prepend=np.nan)
        returns[~self.adjacent] = np.nan
        return returns

    @property
    def invalid(self) -> NDArray[np.bool_]:
        """Of each bar, whether it opens or closes outside its own high and low: such a bar has no range."""
        highest, lowest = np.maximum(self.open, self.close), np.minimum(self.open, self.close)
        return np.asarray((self.high < highest) | (self.low > lowest))

    @property
    def annualization_factor(self) -> float:
        """What a deviation per bar is multiplied by to be one per year of 365 days: the square root of their ratio."""
        return float(np.sqrt(YEAR_MS / self.interval_ms))

    def longest_run(self) -> Bars:
        """The longest stretch without a hole; the newest among equals."""
        starts = np.flatnonzero(~self.adjacent)
        lengths = np.diff(starts, append=len(self))
        if not len(starts):
            return self
        longest = len(lengths) - 1 - int(np.argmax(lengths[::-1]))
        return self.slice(int(starts[longest]), int(starts[longest] + lengths[longest]))


class Window(NamedTuple):
    """The bars a result speaks about: those that open at or after `start_ms` and before `end_ms`."""

    label: str  # as settings and documents write it, e.g. 30d
    start_ms: int
    end_ms: int

    @classmethod
    def ending(cls, end_ms: int, label: str) -> Window:
        """The window of that length, `24h` or `30d`, that ends there; ValueError for any other label."""
        return cls(label, end_ms - span_ms(label), end_ms)

    def within(self, bars: Bars) -> Bars:
        """The bars inside."""
        return bars.between(self.start_ms, self.end_ms)

    def through(self, bars: Bars) -> Bars:
        """The bars inside and all before: what recursive averages begin with."""
        return bars.between(0, self.end_ms)

    def expected(self, interval_ms: int) -> int:
        """How many bars it has room for."""
        return (self.end_ms - self.start_ms) // interval_ms


def span_ms(label: str) -> int:
    """How long `24h` or `30d` is; ValueError for what is neither."""
    match = _LABEL.fullmatch(label)
    if match is None:
        raise ValueError(f"a window is a number of hours or days, like 24h or 30d, not {label!r}")
    return int(match[1]) * _UNIT_MS[match[2]]


def bars_of(candles: Iterable[Candle], interval_ms: int) -> Bars:
    """Stored candles of one timeframe, ascending, as arrays of the nearest floats.

    Left out, and so missing from every coverage: bars derived from an incomplete set of trades, bars off the grid,
    and bars with a price that is not above 0.
    """
    usable = [
        (
            candle.open_time,
            *map(float, (candle.open, candle.high, candle.low, candle.close, candle.volume)),
            *map(_number, (candle.quote_volume, candle.trades_count, candle.taker_buy_volume)),
        )
        for candle in candles
        if candle.complete and candle.open_time % interval_ms == 0
    ]
    table = np.array([row[1:] for row in usable], dtype=np.float64).reshape(-1, 8)
    open_times = np.array([row[0] for row in usable], dtype=np.int64)
    priced = np.all((table[:, :4] > 0) & np.isfinite(table[:, :4]), axis=1)
    return Bars(interval_ms, open_times[priced], *table[priced].T)


def _number(value: str | int | None) -> float:
    return np.nan if value is None else float(value)


def valid(values: Floats) -> Floats:
    """The values that are there, in their order: without the NaN of what is unknown."""
    return values[~np.isnan(values)]
