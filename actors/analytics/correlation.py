"""How symbols move together: matrices, who leads, and how broad the market's move is. Pure; of log returns.

Levels of prices that have nothing to do with each other correlate as well (Granger & Newbold 1974, J. Econometrics
2(2):111-120).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from data_manager.actors.analytics.alignment import Aligned, aligned, lead, pearson
from data_manager.actors.analytics.bars import Bars, Floats, Window
from data_manager.actors.analytics.results import Result, Unknown, built, empty, envelope, too_few
from data_manager.actors.analytics.rolling import deviations

METHOD = "pearson_correlation"

Row = dict[str, float | None]


class CorrelationParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the metrics look at; lengths in bars."""

    minimum_rows: int  # times that all symbols share
    minimum_completeness: float  # percent of the window; a symbol with less is left out
    rolling_windows: tuple[int, ...]
    volatility_window: int
    most_lag: int
    lag_errors: float  # so many standard errors a correlation must be from 0 for its lag to be told
    breadth_sma: int


class Correlation(Result, frozen=True, kw_only=True):
    """One symbol against the others, and against the benchmark."""

    correlation_matrix: Row | None  # the symbol's own row of it
    spearman: Row | None
    rolling_correlation: float | None  # with the benchmark, over the shortest rolling window
    rolling_correlations: Row | None  # by window
    cross_correlation_lag: int | None  # bars; above 0 the symbol follows the benchmark
    cross_correlation: float | None  # at that lag
    volatility_correlation: float | None  # of rolling deviations of returns with the benchmark's


class CorrelationMatrix(Result, frozen=True, kw_only=True):
    """The market as a whole."""

    matrix: dict[str, Row] | None  # Pearson 1895
    spearman: dict[str, Row] | None  # Spearman 1904, Am. J. Psychology 15:72-101
    average_correlation: float | None  # of all pairs
    first_eigenvalue_share: float | None  # of the variance of standardised returns
    above_sma: float | None  # percent of the symbols that closed above their average
    advancing: int | None  # symbols whose newest return is above 0
    declining: int | None


class Market(msgspec.Struct, frozen=True, eq=False):
    """What all results of one window are made of."""

    table: Aligned
    pearson: Floats
    spearman: Floats
    window: Window
    benchmark: str
    parameters: CorrelationParameters

    def shown(self) -> dict[str, Any]:
        """The parameters as envelopes show them."""
        return {
            **msgspec.structs.asdict(self.parameters),
            "symbols": list(self.table.symbols),
            "left_out": self.table.left_out,
            "benchmark": self.benchmark,
            "rows": len(self.table.open_times),
        }

    def shortage(self) -> str | None:
        """Why there is no matrix, if there is none."""
        rows = len(self.table.open_times) if self.table.symbols else 0
        if rows < self.parameters.minimum_rows:
            return too_few(rows, self.parameters.minimum_rows, "times that all symbols share")
        return None


def market(bars: Mapping[str, Bars], window: Window, benchmark: str, parameters: CorrelationParameters) -> Market:
    """The symbols side by side; bars of one timeframe, of one symbol at least.

    A benchmark that is left out gives way to the first symbol that is not.
    """
    interval_ms = next(iter(bars.values())).interval_ms
    share = round(window.expected(interval_ms) * parameters.minimum_completeness / 100)
    samples = {symbol: window.within(each) for symbol, each in bars.items()}
    table = aligned(samples, max(parameters.minimum_rows + 1, share))
    if benchmark not in table.symbols:
        benchmark = next(iter(table.symbols), benchmark)
    ranks = np.asarray(stats.rankdata(table.returns, axis=0), dtype=np.float64)
    return Market(table, pearson(table.returns), pearson(ranks), window, benchmark, parameters)


def correlation(bars: Bars, symbol: str, against: Market) -> Correlation:
    """One of the market's symbols, of which these are the bars."""
    table = against.table
    about = envelope(METHOD, bars, against.window, against.shown())
    missing = table.left_out.get(symbol) or against.shortage()
    if missing is not None:
        return empty(Correlation, about, missing)
    ours, theirs = table.column(symbol), table.column(against.benchmark)
    place = table.symbols.index(symbol)
    rolling = {str(rows): _rolling(ours, theirs, rows) for rows in sorted(against.parameters.rolling_windows)}
    return built(
        Correlation,
        about,
        {
            "correlation_matrix": _row(table.symbols, against.pearson[place]),
            "spearman": _row(table.symbols, against.spearman[place]),
            "rolling_correlation": next(iter(rolling.values())),
            "rolling_correlations": rolling,
            **_lead(ours, theirs, (table.open_times - table.open_times[0]) // bars.interval_ms, against.parameters),
            "volatility_correlation": _of_volatility(ours, theirs, against.parameters.volatility_window),
        },
    )


def correlation_matrix(bars: Mapping[str, Bars], whole: Market) -> CorrelationMatrix:
    """The market as a whole; `bars` are those it was made of.

    The envelope counts the times that all symbols share.
    """
    table, window = whole.table, whole.window
    about = envelope(METHOD, next(iter(bars.values())), window, whole.shown())
    steps = np.diff(table.open_times)
    about = msgspec.structs.replace(
        about,
        n=len(table.open_times),
        completeness=100 * len(table.open_times) / about.expected if about.expected else 0.0,
        gaps=int(np.count_nonzero(steps != next(iter(bars.values())).interval_ms)),
    )
    samples = [window.within(each) for each in bars.values()]
    breadth = _breadth(samples, window, whole.parameters.breadth_sma)
    missing = whole.shortage()
    if missing is not None:
        unknown = dict.fromkeys(CorrelationMatrix.metrics(), Unknown(missing))
        return built(CorrelationMatrix, about, {**unknown, **breadth})
    return built(
        CorrelationMatrix,
        about,
        {
            "matrix": _rows(table.symbols, whole.pearson),
            "spearman": _rows(table.symbols, whole.spearman),
            **_together(whole.pearson),
            **breadth,
        },
    )


def _rows(symbols: tuple[str, ...], matrix: Floats) -> dict[str, dict[str, float]]:
    return {symbol: _row(symbols, row) for symbol, row in zip(symbols, matrix, strict=True)}


def _row(symbols: tuple[str, ...], values: Floats) -> dict[str, float]:
    return dict(zip(symbols, map(float, values), strict=True))


def _together(matrix: Floats) -> dict[str, float | Unknown]:
    """The mean of all pairs, and the share of the greatest eigenvalue: what one common factor explains."""
    size = len(matrix)
    if size < 2:
        return dict.fromkeys(("average_correlation", "first_eigenvalue_share"), Unknown("there is one symbol only"))
    return {
        "average_correlation": float(np.sum(np.triu(matrix, 1))) / (size * (size - 1) / 2),
        "first_eigenvalue_share": float(np.linalg.eigvalsh(matrix)[-1]) / size,
    }


def _breadth(samples: list[Bars], window: Window, length: int) -> dict[str, float | int | Unknown]:
    """How many symbols lie above their average and how many rose, of those that have the window's newest bar."""
    now = [each for each in samples if len(each) and each.open_times[-1] == window.end_ms - each.interval_ms]
    averaged = [each for each in now if len(each) >= length]
    steps = [float(each.log_returns[-1]) for each in now if each.adjacent[-1]]
    above = [float(each.close[-1]) > float(np.mean(each.close[-length:])) for each in averaged]
    nothing = Unknown("no symbol has the newest bars")
    return {
        "above_sma": 100 * sum(above) / len(above) if above else nothing,
        "advancing": sum(step > 0 for step in steps) if steps else nothing,
        "declining": sum(step < 0 for step in steps) if steps else nothing,
    }


def _pair(ours: Floats, theirs: Floats) -> float | Unknown:
    if np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return Unknown("one of the two does not vary")
    return float(pearson(np.column_stack((ours, theirs)))[0, 1])


def _rolling(ours: Floats, theirs: Floats, rows: int) -> float | Unknown:
    if len(ours) < rows:
        return Unknown(too_few(len(ours), rows, "times that all symbols share"))
    return _pair(ours[-rows:], theirs[-rows:])


def _of_volatility(ours: Floats, theirs: Floats, length: int) -> float | Unknown:
    """The correlation of the rolling deviations of the two."""
    if len(ours) < 2 * length:
        return Unknown(too_few(len(ours), 2 * length, "times that all symbols share"))
    return _pair(deviations(ours, length)[length - 1 :], deviations(theirs, length)[length - 1 :])


def _lead(
    ours: Floats, theirs: Floats, rows: NDArray[np.int64], parameters: CorrelationParameters
) -> dict[str, float | int | Unknown]:
    """The lag at which the symbol follows the benchmark, where the correlation there is no accident."""
    lag, strength = lead(ours, theirs, rows, parameters.most_lag)
    if abs(strength) * np.sqrt(len(ours)) < parameters.lag_errors:
        weak = Unknown(f"the strongest of all, {strength:.3f} at lag {lag}, may be an accident")
        return {"cross_correlation_lag": weak, "cross_correlation": weak}
    return {"cross_correlation_lag": lag, "cross_correlation": strength}
