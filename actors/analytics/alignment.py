"""Returns of several symbols side by side, at the times that all of them have. Pure.

A matrix made of pairs of symbols, each pair at times of its own, need not be positive semidefinite; one made of
common times is. A symbol that has too few bars is left out, so that it does not cost the others their times.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_manager.actors.analytics.bars import Bars, Floats
from data_manager.actors.analytics.results import too_few


class Aligned(msgspec.Struct, frozen=True, eq=False):
    """Log returns that vary: one row for each time, one column for each symbol. No NaN."""

    symbols: tuple[str, ...]
    open_times: NDArray[np.int64]
    returns: Floats
    left_out: dict[str, str]  # symbol -> why

    def column(self, symbol: str) -> Floats:
        """The returns of one symbol."""
        return np.asarray(self.returns[:, self.symbols.index(symbol)])


def aligned(samples: Mapping[str, Bars], needed: int) -> Aligned:
    """The returns of those symbols that have `needed` bars, at the times at which each of them has one."""
    left_out = {symbol: too_few(len(sample), needed) for symbol, sample in samples.items() if len(sample) < needed}
    enough = {symbol: sample for symbol, sample in samples.items() if symbol not in left_out}
    times = _common([sample.open_times[sample.adjacent] for sample in enough.values()])
    columns = {
        symbol: sample.log_returns[np.searchsorted(sample.open_times, times)] for symbol, sample in enough.items()
    }
    varying = {symbol: column for symbol, column in columns.items() if len(column) and np.ptp(column) > 0}
    left_out |= dict.fromkeys(columns.keys() - varying.keys(), "its returns do not vary")
    table = np.column_stack(list(varying.values())) if varying else np.empty((len(times), 0))
    return Aligned(tuple(varying), times, table, left_out)


def _common(times: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return reduce(np.intersect1d, times) if times else np.empty(0, dtype=np.int64)


def pearson(columns: Floats) -> Floats:
    """The correlation of columns that vary: symmetric, its diagonal exactly 1, within -1 and 1; empty of none.

    Pearson 1895, Proc. R. Soc. London 58:240-242.
    """
    if not columns.size:
        return np.empty((0, 0))
    standardised = columns - columns.mean(axis=0)
    standardised /= np.sqrt(np.sum(standardised**2, axis=0))
    matrix = np.clip(standardised.T @ standardised, -1.0, 1.0)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1.0)
    return np.asarray(matrix)


def lead(follower: Floats, leader: Floats, rows: NDArray[np.int64], most: int) -> tuple[int, float]:
    """The lag, at most `most` either way, at which two series are most strongly correlated, and that correlation.

    Above 0 `follower` repeats what `leader` did so many places before. `rows` are the places of the values in time,
    ascending from 0; what is missing between them counts for nothing. Sum of products over that of all squares
    (Box & Jenkins 1970): within -1 and 1, and smaller towards long lags.
    """
    span = int(rows[-1]) + 1
    placed = np.zeros((2, span))
    for line, series in zip(placed, (follower, leader), strict=True):
        centred = series - np.mean(series)
        line[rows] = centred / np.sqrt(np.sum(centred**2))
    most = min(most, span - 1)
    products = np.correlate(placed[0], placed[1], mode="full")[span - 1 - most : span + most]
    best = int(np.argmax(np.abs(products)))
    return best - most, float(products[best])
